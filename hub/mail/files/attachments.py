"""What may be done with a file of a message: shown, saved, or held back; and under which name it is saved.

Decides by the file's own first bytes, never by the sender's word: pictures, PDF and plain text may be shown, all
else is only ever saved. Pure. Invariant: a name that comes out of here is one component of a path on any system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hub import sanitize

HEAD_BYTES = 1024
"""How much of a file `preview_of` wants to see."""
MAX_PICTURE_BYTES = 20 * 1024 * 1024
MAX_PDF_BYTES = 50 * 1024 * 1024
MAX_TEXT_BYTES = 200 * 1024
"""How much of a text is shown; the whole of it is only saved."""
MAX_ZIP_BYTES = 500 * 1024 * 1024

Kind = Literal["picture", "pdf", "text"]
Scan = Literal["none", "waiting", "clean", "infected", "failed"]

_TEXTS = re.compile(r"[^.].*\.(?:txt|text|log|csv|tsv|md|ini|cfg|diff|patch)", re.IGNORECASE | re.DOTALL)
_RUNS = re.compile(
    r".*\.(?:x?html?|xht|mht|mhtml|svgz?|xml|xslt?|ics|vcf|eml|js|mjs|wsf|hta)", re.IGNORECASE | re.DOTALL
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preview:
    """How a file is shown; `type` is what its bytes are, and what it is served as."""

    kind: Kind
    type: str


def picture_type(head: bytes) -> str | None:
    """Return the type of a picture that every browser draws by itself, None for all else.

    Source: WHATWG MIME Sniffing, 6.1.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:14] == b"WEBPVP":
        return "image/webp"
    return None


def preview_of(name: str, given_type: str, head: bytes, size: int) -> Preview | None:
    """Tell how a file may be shown, by its first `HEAD_BYTES`; None where it may only be saved."""
    if (found := picture_type(head)) is not None:
        return Preview("picture", found) if size <= MAX_PICTURE_BYTES else None
    if head.startswith(b"%PDF-"):
        return Preview("pdf", "application/pdf") if size <= MAX_PDF_BYTES else None
    says_text = given_type.lower() in ("text/plain", "text/csv", "text/markdown") or _TEXTS.fullmatch(name)
    if says_text and not _RUNS.fullmatch(name) and _is_text(head):
        return Preview("text", "text/plain")
    return None


def _is_text(head: bytes) -> bool:
    """Tell text from a program: no NUL but in UTF-16, and hardly a control character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    controls = sum(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head)
    return b"\0" not in head and controls * 50 <= len(head)


def saved_as(name: str, *, fallback: str = "file", max_bytes: int = 150) -> str:
    """Return a name fit for any file system: one component, no control or bidi character, bounded, its suffix kept."""
    clean = sanitize.shown(re.split(r"[/\\]", name)[-1], max_chars=len(name) + 1)
    clean = re.sub(r'[<>:"|?*]', "_", clean).strip(". ") or fallback
    if _RESERVED.fullmatch(clean):
        clean = f"_{clean}"
    stem, dot, suffix = clean.rpartition(".")
    if not dot or len(suffix.encode()) > 20:
        stem, dot, suffix = clean, "", ""
    room = max_bytes - len((dot + suffix).encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ")
    return (stem or fallback) + dot + suffix


def names_in_zip(names: Iterable[str]) -> list[str]:
    """Return a name for each file of an archive: `saved_as`, and no two alike on a disk that ignores case."""
    taken: set[str] = set()
    given: list[str] = []
    for name in names:
        wanted = saved_as(name)
        stem, dot, suffix = wanted.rpartition(".")
        number = 1
        while wanted.casefold() in taken:
            number += 1
            wanted = f"{stem} ({number}).{suffix}" if dot else f"{suffix} ({number})"
        taken.add(wanted.casefold())
        given.append(wanted)
    return given


def is_held(scan: str, *, hold_unscanned: bool) -> bool:
    """Tell whether a file is not handed out: infected, or not found clean where that is wanted."""
    return scan == "infected" or (hold_unscanned and scan != "clean")
