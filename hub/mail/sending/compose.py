"""The bytes of an outgoing message, built so that no field can become two.

Decides how a message is written: headers, bodies, files, quote of the original. Does not decide who may send what,
and sends nothing. Pure: same draft, same bytes. Large files pass through piece by piece, never whole. Invariants:
whatever the draft says, only the fields below appear, Bcc never does; every line is ASCII, ends in CRLF and is at
most 998 long; `Refused` names the field. The one exception to ASCII: an address whose local part is not, which can
only be written as UTF-8 and needs a server that offers SMTPUTF8.

Free text that is not plain ASCII, or that looks like an encoded word, is written as encoded words, so that neither a
line break nor `=?UTF-8?Q?Hi=0ABcc:_x?=` ever reaches a header as it was typed.
Source: RFC 5322, 2047, 2231, 2045–2046, 2387 (pictures within the text), 2392 (cid), 6531–6532 (UTF-8 addresses).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html as std_html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote
from uuid import UUID

from hub import sanitize
from hub.crm.addresses import parse_domain
from hub.errors import Refused, TooLarge
from hub.mail.intake.threads import base_subject
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import file_name

MAX_RECIPIENTS = 100
MAX_BYTES = 25_000_000
MAX_REFERENCES = 30

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_OF_A_WORD = ("L", "M", "N")
"""The kinds of letters outside ASCII that a local part may have (Unicode's general categories)."""
_ID = re.compile(r"<[!-;=?-~]{1,498}>")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9 !#$%&'*+/^_`{|}~.,:;@()?=-]*")
_CID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}@[A-Za-z0-9][A-Za-z0-9.-]{0,100}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file to send: its name as shown, its MIME type, its bytes.

    With a `cid` it is a picture that the HTML shows. Instead of `content`, `read` may give the bytes anew at each call,
    in pieces of any length; `size` is their number then.
    """

    name: str
    type: str
    content: bytes = b""
    cid: str | None = None
    read: Callable[[], Iterable[bytes]] | None = None
    size: int = 0

    @property
    def length(self) -> int:
        return len(self.content) if self.read is None else self.size

    def pieces(self) -> Iterable[bytes]:
        return (self.content,) if self.read is None else self.read()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person wants to send. `message_id` is Hub's (`new_message_id`) and never changes; `date` is aware."""

    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    subject: str
    text: str | None = None
    html: str | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    files: tuple[OutgoingFile, ...] = ()
    message_id: str
    date: datetime
    thread_index: bytes = b""
    """Outlook's place of the message in its conversation (`thread_index`); none is written where it is empty."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The frozen bytes and the envelope: sender and recipients (To, Cc and Bcc, once each) as SMTP takes them."""

    raw: bytes
    envelope_from: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """The same with its bytes in pieces, to be taken once."""

    pieces: Iterator[bytes]
    envelope_from: str
    recipients: tuple[str, ...]


def new_message_id(uuid: UUID, mailbox: str) -> str:
    """Return the Message-ID of a new message from `mailbox`: `<uuid@its domain>`."""
    return f"<{uuid}@{domain_of(mailbox)}>"


def domain_of(mailbox: str) -> str:
    """Return the domain of one of our own addresses. Raises Refused."""
    return smtp_address(mailbox, field="mailbox", is_own=True).rpartition("@")[2]


def compose(draft: Draft) -> Composed:
    """Build the message. Raises Refused with the field's name for what cannot be sent."""
    stream = compose_stream(draft)
    return Composed(b"".join(stream.pieces), stream.envelope_from, stream.recipients)


def compose_stream(draft: Draft) -> Stream:
    """Build the message piece by piece. Raises Refused as `compose`, for its size also while pieces are taken."""
    sender = smtp_address(draft.sender.address, field="from", is_own=True)
    named = [("to", draft.to), ("cc", draft.cc), ("bcc", draft.bcc)]
    home = sender.rpartition("@")[2]
    recipients = dict.fromkeys(
        smtp_address(a.address, field=field, is_own=parse_domain(a.address.rpartition("@")[2]) == home)
        for field, people in named
        for a in people
    )
    if not recipients:
        raise Refused("no_recipient", "a message needs a recipient", field="to")
    if len(recipients) > MAX_RECIPIENTS:
        raise Refused("too_many_recipients", f"at most {MAX_RECIPIENTS} recipients", field="to")
    if not _ID.fullmatch(draft.message_id):
        raise Refused("bad_message_id", "not a message id", field="message_id")
    subject = sanitize.one_line(" ".join(draft.subject.splitlines()), field="subject", max_bytes=2000)
    fields = [_field("From", _mailbox_list([draft.sender]))]
    fields.append(_field("To", _mailbox_list(draft.to) if draft.to else ["undisclosed-recipients:;"]))
    if draft.cc:
        fields.append(_field("Cc", _mailbox_list(draft.cc)))
    fields.append(_field("Subject", _words(subject, first_line=len("Subject: "))))
    fields.append(f"Date: {format_datetime(draft.date)}\r\n")
    fields.append(f"Message-ID: {draft.message_id}\r\n")
    if _ID.fullmatch(draft.in_reply_to):
        fields.append(f"In-Reply-To: {draft.in_reply_to}\r\n")
    if references := _references(draft):
        fields.append(_field("References", references))
    if draft.thread_index:
        topic = base_subject(subject)
        fields.append(_field("Thread-Topic", _words(topic, first_line=len("Thread-Topic: "))))
        index = base64.b64encode(draft.thread_index).decode("ascii")
        fields.append(_field("Thread-Index", [index[at : at + 60] for at in range(0, len(index), 60)]))
    fields.append("MIME-Version: 1.0\r\n")
    for file in draft.files:
        sanitize.one_line(file.name, field="attachments", max_bytes=2000)
        if file.cid is not None and not _CID.fullmatch(file.cid):
            raise Refused("bad_cid", "not a Content-ID", field="attachments")
    if sum(file.length for file in draft.files) * 78 // 57 > MAX_BYTES:
        raise _too_large()
    pieces = _bounded("".join(fields).encode("utf-8"), _content(draft))
    return Stream(pieces, sender, tuple(recipients))


def _too_large() -> Refused:
    return TooLarge("too_large", f"the message is over {MAX_BYTES // 1_000_000} MB", field="attachments")


def _bounded(head: bytes, content: Iterable[bytes]) -> Iterator[bytes]:
    used = len(head)
    yield head
    for piece in content:
        used += len(piece)
        if used > MAX_BYTES:
            raise _too_large()
        yield piece


def smtp_address(address: str, *, field: str, is_own: bool = False) -> str:
    """Return an address as SMTP takes it: local part in ASCII or UTF-8, IDNA domain. Raises Refused.

    Quoted local parts are refused: they are attacks far more often than addresses. So is a domain without a dot, which
    no mail of the Internet reaches, unless `is_own`: the mailbox's own domain (`localhost`, an intranet's name).
    """
    sanitize.one_line(address, field=field, max_bytes=400)
    local, at, domain = address.strip().rpartition("@")
    local, host = unicodedata.normalize("NFC", local), parse_domain(domain)
    size = len(local.encode("utf-8", "replace"))
    is_sound = at and host and size <= 64 and _is_local(local) and size + len(host) <= 253
    if not host or not is_sound or not ("." in host or is_own):
        raise Refused("bad_address", f"{sanitize.shown(address)!r} is not an e-mail address", field=field)
    return f"{local}@{host}"


def _is_local(local: str) -> bool:
    """Tell whether this is a dot-atom, letters of other scripts taken for plain ones (RFC 6531 §3.3)."""
    plain = "".join(c if c.isascii() else "x" if unicodedata.category(c)[0] in _OF_A_WORD else " " for c in local)
    return _LOCAL.fullmatch(plain) is not None


def _field(name: str, pieces: Sequence[str]) -> str:
    """Write a field with its pieces one to a line, so that no line depends on how much a person wrote."""
    return f"{name}: " + "\r\n ".join(pieces) + "\r\n"


def _mailbox_list(people: Iterable[Address]) -> list[str]:
    written = []
    for person in people:
        address = smtp_address(person.address, field="address", is_own=True)
        name = sanitize.one_line(" ".join(person.name.split()), field="name", max_bytes=600)
        if not name:
            written.append(address)
        elif _PLAIN_WORDS.fullmatch(name) and "=?" not in name and len(name) < 200:
            written.append(f'"{name}" <{address}>')
        else:
            written.append("\r\n ".join(_encoded_words(name)) + f"\r\n <{address}>")
    return [one + "," for one in written[:-1]] + written[-1:]


def _words(text: str, *, first_line: int) -> list[str]:
    if text.isascii() and "=?" not in text and max(map(len, text.split(" "))) < 400:
        return _folded(text, first_line=first_line)
    return _encoded_words(text)


def _folded(text: str, *, first_line: int) -> list[str]:
    """Break ASCII text at single blanks into lines of about 76; what is joined by one blank is the text again."""
    lines, current, used = list[str](), "", first_line
    for word in text.split(" "):
        if current.strip() and word and used + len(current) + len(word) > 76:
            lines.append(current)
            current, used = word, 1
        else:
            current = f"{current} {word}" if current else word
    return [*lines, current]


def _encoded_words(text: str) -> list[str]:
    """Write text as UTF-8 base64 encoded words of at most 75 characters, none cut within a letter (RFC 2047 §5)."""
    words, chunk = [], b""
    for letter in text:
        raw = letter.encode("utf-8", "replace")
        if len(chunk) + len(raw) > 45:
            words.append(chunk)
            chunk = b""
        chunk += raw
    words.append(chunk)
    return [f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words]


def _references(draft: Draft) -> list[str]:
    ids = dict.fromkeys(one for one in (*draft.references, draft.in_reply_to) if _ID.fullmatch(one))
    ids.pop(draft.in_reply_to, None)
    kept = [*ids, *([draft.in_reply_to] if _ID.fullmatch(draft.in_reply_to) else [])]
    return kept if len(kept) <= MAX_REFERENCES else [kept[0], *kept[1 - MAX_REFERENCES :]]


def _content(draft: Draft) -> Iterator[bytes]:
    """Give Content-… fields, blank line and body of the whole message.

    A picture belongs to the HTML alone (RFC 2387), so it stands beside it and within the alternative.
    """
    pictures = [file for file in draft.files if file.cid is not None and draft.html is not None]
    others = [file for file in draft.files if file not in pictures]
    bodies: list[Iterable[bytes]] = []
    if draft.text is not None or draft.html is None:
        bodies.append([_text_part("plain", draft.text)])
    if draft.html is not None:
        html: Iterable[bytes] = [_text_part("html", draft.html)]
        if pictures:
            html = _multipart("related", [html, *map(_file_part, pictures)], draft.message_id)
        bodies.append(html)
    content = bodies[0] if len(bodies) == 1 else _multipart("alternative", bodies, draft.message_id)
    if others:
        content = _multipart("mixed", [content, *map(_file_part, others)], draft.message_id)
    yield from content


def _multipart(kind: str, parts: list[Iterable[bytes]], message_id: str) -> Iterator[bytes]:
    # "=_" stands in neither quoted-printable nor base64, so no content can hold the boundary.
    boundary = f"=_{kind}_{hashlib.sha256(message_id.encode()).hexdigest()[:24]}"
    mark = b"--" + boundary.encode("ascii")
    first = '; type="text/html"' if kind == "related" else ""
    yield f'Content-Type: multipart/{kind}{first}; boundary="{boundary}"\r\n\r\n'.encode("ascii")
    for part in parts:
        yield mark + b"\r\n"
        yield from part
        yield b"\r\n"
    yield mark + b"--\r\n"


def _text_part(kind: str, text: str | None) -> bytes:
    clean = _CONTROL.sub("", (text or "").replace("\r\n", "\n").replace("\r", "\n"))
    raw = clean.encode("utf-8")
    is_mostly_ascii = sum(1 for c in clean[:10_000] if not c.isascii()) * 6 < len(clean[:10_000]) + 1
    encoding, body = ("quoted-printable", _quoted_printable(raw)) if is_mostly_ascii else ("base64", _base64(raw))
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body


def _quoted_printable(raw: bytes) -> bytes:
    encoded = binascii.b2a_qp(raw, quotetabs=False, istext=True)
    # Some mailboxes write ">From " where a line begins with "From ".
    encoded = re.sub(rb"(?m)^From ", b"=46rom ", encoded)
    return re.sub(rb"\r?\n", b"\r\n", encoded) + (b"" if encoded.endswith(b"\n") else b"\r\n")


def _base64(raw: bytes) -> bytes:
    return base64.encodebytes(raw.replace(b"\n", b"\r\n")).replace(b"\n", b"\r\n")


def _file_part(file: OutgoingFile) -> Iterator[bytes]:
    kind = file.type.lower() if _TYPE.fullmatch(file.type.lower()) else "application/octet-stream"
    if kind.startswith(("multipart/", "message/")):
        kind = "application/octet-stream"
    name = file_name(file.name, number=1, kind=kind)
    how = "attachment" if file.cid is None else "inline"
    head = f"Content-Type: {kind};\r\n {_old_name(name)}\r\n"
    head += f"Content-Transfer-Encoding: base64\r\nContent-Disposition: {how}"
    head += "".join(f";\r\n {piece}" for piece in _name_parameter(name)) + "\r\n"
    if file.cid is not None:
        head += f"Content-ID: <{file.cid}>\r\n"
    yield f"{head}\r\n".encode("ascii")
    yield from _base64_lines(file.pieces())


_LINES = 57 * 1024
"""Bytes that make whole lines of base64: what is encoded at a time."""


def _base64_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    left = bytearray()
    for piece in pieces:
        for start in range(0, len(piece), _LINES):
            left += piece[start : start + _LINES]
            if len(left) >= _LINES:
                yield base64.encodebytes(left[:_LINES]).replace(b"\n", b"\r\n")
                del left[:_LINES]
    if left:
        yield base64.encodebytes(left).replace(b"\n", b"\r\n")


_PLAIN_NAME = re.compile(r"[A-Za-z0-9 ._()+,-]{1,60}")


def _old_name(name: str) -> str:
    """Write `name` for the many programs that do not read `filename*`: they take encoded words there."""
    if _PLAIN_NAME.fullmatch(name):
        return f'name="{name}"'
    return 'name="' + "\r\n ".join(_encoded_words(name)) + '"'


def _name_parameter(name: str) -> list[str]:
    """Write `filename` plainly if it can be, else in RFC 2231 pieces of at most 60 characters."""
    if _PLAIN_NAME.fullmatch(name):
        return [f'filename="{name}"']
    escaped = [quote(letter, safe="", errors="replace") for letter in name]
    pieces, current = [], "utf-8''"
    for one in escaped:
        if len(current) + len(one) > 60:
            pieces.append(current)
            current = ""
        current += one
    pieces.append(current)
    if len(pieces) == 1:
        return [f"filename*={pieces[0]}"]
    return [f"filename*{n}*={piece}" for n, piece in enumerate(pieces)]


def attribution(*, author: Address, at: datetime, language: str) -> str:
    """Return the line above a quote: "24.11.2026 10:12, Мария <m@x> пишет:". `at` in the reader's time zone."""
    who = f"{sanitize.shown(author.name)} <{author.address}>" if author.name else author.address
    when = at.strftime("%d.%m.%Y %H:%M")
    return f"{when}, {who} пишет:" if language == "ru" else f"On {at.strftime('%Y-%m-%d %H:%M')}, {who} wrote:"


def quoted_text(original: str, *, above: str) -> str:
    """Return an original as it stands below a plain text answer."""
    lines = original.rstrip().splitlines()
    return "\n".join([above, *(f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in lines)])


def quoted_html(original_html: str, *, above: str) -> str:
    """Return a safe original as it stands below an HTML answer."""
    style = "margin: 0 0 0 0.8ex; border-left: 1px solid #ccc; padding-left: 1ex"
    return f'<div>{std_html.escape(above)}</div><blockquote type="cite" style="{style}">{original_html}</blockquote>'
