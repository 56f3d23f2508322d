"""What is done to messages before the database hears of them: files written, text and HTML read, rows made.

Runs in a worker process, which may die of it, so it knows no database and no event loop. Invariants: the bytes are
whole on the disk before they are read; what comes back is small (no bytes of files) and fits its columns; a message
that cannot be read by an error of ours is told as such and keeps nobody else from being read.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hub import sanitize
from hub.mail.intake import reply_tag, threads
from hub.mail.reading import events, mime, parsing
from hub.mail.reading.forwarded import original_sender
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import ParsedMessage
from hub.mail.reading.parsing import Reading
from hub.store.blobs import BlobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message whose bytes are stored and read. `parsed` None: it could not be, and is shown raw.

    `values` and `files` are columns of its row and of its attachments'. The files in `parsed` have no content.
    """

    sha256: str
    parsed: ParsedMessage | None
    values: dict[str, Any]
    files: tuple[dict[str, Any], ...] = ()
    reading: Reading | None = None
    attempts: int = 0
    """How many workers it has killed."""

    def html_with(self, attachment_ids: Sequence[int]) -> str | None:
        """Return the safe HTML with its pictures' addresses."""
        if self.reading is None:
            return None
        html = self.reading.html_with(dict(enumerate(attachment_ids)))
        return None if html is None else html.replace("\0", "")


def prepare(root: Path, raws: Sequence[bytes]) -> list[Prepared]:
    """Store and read messages. Raises Unavailable where the disk does not take them: then none counts as stored."""
    store = BlobStore(root)
    read = [_read(raw) for raw in raws]
    contents = [file.content for reading in read if reading for file in reading.parsed.attachments]
    hashes = iter(store.put_now([*raws, *contents]))
    raw_hashes = [next(hashes) for _ in raws]
    return [_prepared(*one, hashes) for one in zip(raws, raw_hashes, read, strict=True)]


def _read(raw: bytes) -> Reading | None:
    try:
        return parsing.read(raw, mark=secrets.token_hex(8))
    except Exception:
        # The bytes are kept, and the message says of itself that it was not read.
        log.exception("a message of %d bytes was not read", len(raw))
        return None


def _prepared(raw: bytes, sha256: str, reading: Reading | None, hashes: Any) -> Prepared:
    if reading is None:
        return unread(raw, sha256)
    files = tuple(
        {
            "name": file.name[:300],
            "type": file.type[:200],
            "size": file.size,
            "sha256": next(hashes),
            "inline": file.inline,
            "cid": (file.cid or None) and file.cid[:300],
        }
        for file in reading.parsed.attachments
    )
    slim = tuple(replace(file, content=b"") for file in reading.parsed.attachments)
    parsed = replace(reading.parsed, attachments=slim, html=None)
    values = _values(parsed, reading.text) | {"raw_sha256": sha256, "size": len(raw), "parse_state": "parsed"}
    return Prepared(sha256, parsed, values, files, replace(reading, parsed=parsed))


def unread(raw: bytes, sha256: str, *, attempts: int = 0) -> Prepared:
    """Return what is known of a message that no parser got through: nothing but that it is there."""
    values = _values(replace(mime.parse(b""), defects=("unparsed",)), "")
    values |= {"raw_sha256": sha256, "size": len(raw), "parse_state": "failed"}
    return Prepared(sha256, None, values, attempts=attempts)


def _values(parsed: ParsedMessage, text: str) -> dict[str, Any]:
    sender = parsed.from_ or Address("", "")
    subject = sanitize.shown(parsed.subject, max_chars=1000)
    lists = {"to": parsed.to, "cc": parsed.cc, "bcc": parsed.bcc, "reply_to": parsed.reply_to}
    return {
        "message_id": parsed.message_id[:500],
        "in_reply_to": parsed.in_reply_to[:500],
        "references": list(parsed.references),
        "subject": subject,
        "from_name": sanitize.shown(sender.name, max_chars=300),
        "from_address": sender.address.lower()[:254],
        **{name: [{"name": a.name, "address": a.address} for a in people] for name, people in lists.items()},
        "date": parsed.date,
        "text": text.replace("\0", ""),
        "snippet": mime.first_line(text, max_chars=200),
        "auto": parsed.auto,
        "defects": list(parsed.defects),
        "about": parsed.about | _forwarded(parsed, text),
        "event_uid": (events.event_of(parsed.about) or {}).get("uid") or None,
    }


def _forwarded(parsed: ParsedMessage, text: str) -> dict[str, Any]:
    original = original_sender(parsed.subject, text)
    if original is None:
        return {}
    return {"forwarded": {"name": sanitize.shown(original.name, max_chars=300), "address": original.address}}


@dataclass(frozen=True, slots=True)
class ReplyKey:
    """What tells an id of Hub's own from a forged one (`reply_tag`)."""

    key: bytes
    own_domains: frozenset[str]


def letter(
    one: Prepared,
    *,
    at: datetime,
    is_out: bool,
    is_new: bool,
    client_id: int | None,
    reply_key: ReplyKey | None = None,
) -> threads.Letter:
    """Return what decides the thread of a message."""
    v = one.values
    recipients = [a["address"] for a in (*v["to"], *v["cc"])]
    people = [address.lower() for address in recipients] if is_out else [v["from_address"]]
    in_reply_to: tuple[str, ...] = (v["in_reply_to"],)
    references = tuple(one_id[:500] for one_id in v["references"])
    if reply_key is not None:
        key, own_domains = reply_key.key, reply_key.own_domains
        in_reply_to = reply_tag.genuine(key, in_reply_to, own_domains=own_domains)
        references = reply_tag.genuine(key, references, own_domains=own_domains)
        if not is_out:
            references = (*reply_tag.answered(key, recipients), *references)
    return threads.Letter(
        message_id=v["message_id"],
        in_reply_to="".join(in_reply_to),
        references=references,
        subject=v["subject"],
        at=at,
        parties=frozenset(filter(None, people)),
        client_id=client_id,
        is_new=is_new,
    )
