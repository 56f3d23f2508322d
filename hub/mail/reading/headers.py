"""The head of a message: fields, encoded words, parameters, ids — as strangers write them.

Decides how broken header text is read; pure, never raises. Addresses are `people`'s, the date is `dates`'. Everything
is one pass over the text, because a field with 20,000 quotes or encoded words is a known way to stop a mail program.
Invariants: a decoded value holds no control character and is cut to what its column takes.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass

from hub.mail.reading.charsets import choose_among, decode
from hub.mail.reading.transfer import base64_lenient

MAX_HEAD_BYTES = 2_000_000
MAX_FIELDS = 2_000
MAX_VALUE_BYTES = 512_000
MAX_REFERENCES = 100

_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)', re.DOTALL)
_ID = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Address:
    """A name as it is shown and an address as it was written (`""` where there is only a name)."""

    name: str
    address: str


class Head:
    """The fields of one part in their order; a field's value is unfolded raw bytes."""

    __slots__ = ("_fields", "_first", "defects")

    def __init__(self, fields: list[tuple[str, bytes]], defects: tuple[str, ...] = ()) -> None:
        self._fields = fields
        self._first = dict(reversed(fields))
        self.defects = defects

    def raw(self, name: str) -> bytes | None:
        return self._first.get(name)

    def all(self, name: str) -> list[bytes]:
        return [value for field, value in self._fields if field == name]

    def text(self, name: str, *, max_chars: int) -> str:
        """Return a field's decoded value in one line, `""` where there is none."""
        value = self.raw(name)
        return "" if value is None else unstructured(value, max_chars=max_chars)

    def has(self, name: str) -> bool:
        return name in self._first


_NAMED = re.compile(
    rb"""charset\*?[ \t]{0,5}=[ \t]{0,5}["']?([\w.:-]{2,40})|=\?([\w.:-]{2,40})(?:\*\w{1,20})?\?[bq]\?"""
    rb"""|\*=["']?([\w.:-]{2,40})'""",
    re.IGNORECASE,
)
MAX_LOOKED_AT = 300_000
MAX_NAMED = 8


def named_charsets(raw: bytes) -> tuple[str, ...]:
    """Return the charsets that a message names anywhere: of its parts, of encoded words, of file names."""
    found: dict[str, None] = {}
    for match in _NAMED.finditer(raw, 0, MAX_LOOKED_AT):
        found.setdefault((match[1] or match[2] or match[3]).decode("ascii", "replace").lower())
        if len(found) >= MAX_NAMED:
            break
    return tuple(found)


def read_head(raw: bytes, message: bytes = b"") -> Head:
    """Split a header block into fields. Lines that are no field are left out and told as a defect.

    Bytes of eight bits that are no UTF-8 are read all together, in a charset that the `message` around the head names
    if one fits, and stand in the fields as UTF-8.
    """
    fields: list[tuple[str, bytes]] = []
    defects: list[str] = []
    if len(raw) > MAX_HEAD_BYTES:
        raw, defects = raw[:MAX_HEAD_BYTES], ["headers_cut"]
    name, pieces = "", list[bytes]()
    for number, line in enumerate(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")):
        if line[:1] in (b" ", b"\t") and name:
            pieces.append(line)
            continue
        if name:
            fields.append((name, b"".join(pieces)[:MAX_VALUE_BYTES]))
            name = ""
            if len(fields) >= MAX_FIELDS:
                defects.append("too_many_headers")
                break
        if match := _FIELD.match(line):
            name, pieces = match[1].decode("ascii").lower(), [line[match.end() :]]
        elif line.strip() and not (number == 0 and line.startswith((b"From ", b">From "))):
            defects.append("bad_header_line")
    if name:
        fields.append((name, b"".join(pieces)[:MAX_VALUE_BYTES]))
    if not raw.isascii():
        fields = _in_utf8(fields, message or raw)
    return Head(fields, tuple(dict.fromkeys(defects)))


def _in_utf8(fields: list[tuple[str, bytes]], message: bytes) -> list[tuple[str, bytes]]:
    odd = [value for _, value in fields if not value.isascii() and not _is_utf8(value)]
    if not odd:
        return fields
    codec = choose_among(b"\n".join(odd), named_charsets(message))
    return [
        (name, value if value.isascii() or _is_utf8(value) else value.decode(codec, "replace").encode())
        for name, value in fields
    ]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def unstructured(value: bytes, *, max_chars: int) -> str:
    """Decode free text such as a subject: 8-bit bytes and encoded words, in one line, cut."""
    text = eight_bit(value)
    return one_line(decode_words(text, max_chars=max_chars * 2) if "=?" in text else text, max_chars=max_chars)


def one_line(text: str, *, max_chars: int) -> str:
    """Put stranger's text in one line without control characters, cut to `max_chars`."""
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def without_controls(text: str) -> str:
    return _CONTROL.sub("", text)


def eight_bit(value: bytes) -> str:
    """Return the text of a raw value."""
    return decode(value, None)[0]


def decode_words(text: str, *, max_chars: int = MAX_VALUE_BYTES) -> str:
    """Decode RFC 2047 encoded words wherever they stand; neighbours of one charset are joined before decoding.

    Behind `max_chars` nothing is decoded any more: it is going to be cut.
    """
    if "=?" not in text:
        return text
    out: list[str] = []
    waiting, charset, end, chars = bytearray(), "", 0, 0
    for match in _ENCODED_WORD.finditer(text):
        between = text[end : match.start()]
        content = _word_bytes(match[2], match[3])
        if waiting and not between.strip() and charset == match[1].lower():
            waiting += content
        else:
            if waiting:
                out.append(decode(bytes(waiting), charset)[0])
                chars += len(out[-1]) + 1
                if chars > max_chars:
                    return "".join(out)
            if between.strip() or not waiting:
                out.append(between)
            waiting, charset = bytearray(content), match[1].lower()
        end = match.end()
    if waiting:
        out.append(decode(bytes(waiting), charset)[0])
    out.append(text[end:])
    return "".join(out)


def _word_bytes(encoding: str, payload: str) -> bytes:
    raw = payload.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw.replace(b" ", b"_"), header=True)
    return base64_lenient(raw)


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)', re.DOTALL)


def unquoted(token: str) -> str:
    match = _QUOTED.match(token)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else token


def parameters(value: str) -> dict[str, str]:
    """Return the parameters of a structured field, RFC 2231 pieces joined and decoded. Names in lower case."""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(";" + value.partition(";")[2]):
        name, text = match[1].lower(), match[2].strip()
        text = unquoted(text) if text.startswith('"') else text
        base, star, number = name.partition("*")
        if not star:
            plain.setdefault(name, decode_words(text))
            continue
        index, is_encoded = number.rstrip("*"), number == "" or number.endswith("*")
        if len(index) < 5 and (index.isdecimal() or not index):
            pieces.setdefault(base, {}).setdefault(int(index or 0), (text, is_encoded))
    return plain | {name: _joined(parts) for name, parts in pieces.items()}


def _joined(parts: dict[int, tuple[str, bool]]) -> str:
    """Join the pieces `name*0*=utf-8'ru'%D0…; name*1=…` (RFC 2231 §4.1)."""
    charset, raw = "utf-8", bytearray()
    for position, index in enumerate(sorted(parts)):
        text, is_encoded = parts[index]
        if position == 0 and is_encoded and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        content = text.encode("utf-8", "replace")
        raw += re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), content) if is_encoded else content
    return decode(bytes(raw), charset or "utf-8")[0]


def message_ids(value: bytes | None) -> tuple[str, ...]:
    """Return the ids of Message-ID, In-Reply-To or References, each `<…>`, no doubles, in their order.

    An id without brackets counts if it is the only word with an `@`. One that no column takes is replaced by a
    digest, the same wherever it is met. Of more than `MAX_REFERENCES` the first and the latest are kept.
    """
    if value is None:
        return ()
    text = eight_bit(value)
    found = _ID.findall(text) or [word for word in text.split()[:50] if "@" in word][:1]
    ids = dict.fromkeys(filter(None, (_one_id(one) for one in found)))
    kept = list(ids)
    return tuple(kept if len(kept) <= MAX_REFERENCES else [kept[0], *kept[1 - MAX_REFERENCES :]])


def _one_id(text: str) -> str:
    clean = "".join(_CONTROL.sub("", text).split())
    if len(clean) > 498:
        clean = hashlib.sha256(clean.encode("utf-8", "replace")).hexdigest() + "@too-long.invalid"
    return f"<{clean}>" if clean else ""
