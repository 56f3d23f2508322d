"""One request with who asks: what every handler is given, and the only way it reads what a stranger sent.

Turns path pieces, query, form and JSON into typed values or raises `Refused`; decides nothing about rights beyond
"is somebody signed in". Invariant: a handler never touches a raw query, form or body.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import BodyPartReader, web

from hub.crm.access import Actor
from hub.crm.hours import read_zone
from hub.crm.linking import Linker
from hub.crm.people import Session
from hub.errors import NotFound, NotSignedIn, Refused, TooLarge, TooSlow
from hub.settings import Settings
from hub.store.blobs import BlobStore
from hub.store.changes import Position
from hub.store.engine import Database
from hub.web.client_address import client_address

T = TypeVar("T")
MAX_FORM_BYTES = 1024 * 1024
MAX_STRANGERS_FORM_BYTES = 16 * 1024
"""Of who is not signed in: an address and a password. A larger one would hold its connection for minutes."""
MAX_UPLOAD_BYTES = 25 * 1024 * 1024
MAX_FILES = 20
BODY_WITHIN_S = 20.0
SLOWEST_BYTES_S = 16 * 1024
"""A body has so long, and a second more for each so many bytes of it."""
MAX_ID = 2**63 - 1
EARLIEST, LATEST = 1900, 2900
"""Years within which reckoning with a moment never leaves what a database and Python can hold."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services that pages use. `is_demo` says on every page that nothing here is real."""

    db: Database
    blobs: BlobStore
    settings: Settings
    linker: Linker
    is_demo: bool = False
    reply_key: bytes | None = field(default=None, repr=False)
    """By which answers to what is sent from here are known (`mail.intake.reply_tag`)."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a form. `name` is the sender's word, kept only as a label."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields, the last of each name, and its files."""

    fields: Mapping[str, str]
    files: tuple[Upload, ...] = ()
    every: tuple[tuple[str, str], ...] = ()
    """Every field in the order in which it was sent, for those that are sent several times."""

    def texts(self, name: str) -> list[str]:
        """Return every value of a field, without surrounding space; empty ones do not count."""
        return [text for one, value in self.every if one == name and (text := value.strip())]

    def text(self, name: str, *, max_chars: int = 1000) -> str:
        """Return a field without surrounding space, empty where it is not there. Raises Refused when too long."""
        value = self.fields.get(name, "").strip()
        if len(value) > max_chars:
            raise Refused("too_long", f"{name} is longer than {max_chars} characters", field=name)
        return value

    def number(self, name: str) -> int | None:
        """Return an id, or None where the field is empty. Raises Refused."""
        value = self.text(name, max_chars=20)
        return parse_id(value, field=name) if value else None


@dataclass(frozen=True, slots=True)
class RequestContext:
    """A request of a known or unknown person. `session` is the browser's; a token's bearer has none."""

    request: web.Request
    services: Services
    now: datetime
    language: str
    visitor: Actor | None
    session: Session | None
    form: Form
    token_id: int | None = None
    head: Position | None = None
    """The position of the feed before anything was read for this request: a page follows it from there."""

    @property
    def actor(self) -> Actor:
        """Return the person who asks. Raises NotSignedIn."""
        if self.visitor is None:
            raise NotSignedIn("not_signed_in", "sign in first")
        return self.visitor

    @property
    def zone(self) -> tzinfo:
        """The time zone of who asks: whatever they read or write of times and days is in it."""
        company = self.services.settings.hub.zone
        if self.visitor is None or not self.visitor.time_zone:
            return company
        try:
            return read_zone(self.visitor.time_zone) or company
        except Refused:
            return company  # a zone that was there when it was stored, and is not on this machine

    @property
    def db(self) -> Database:
        return self.services.db

    @property
    def client_address(self) -> str:
        """The address of who asks, as far as the trusted proxies tell it; empty where there is none."""
        trusted = self.services.settings.web.trusted_proxies
        return client_address(self.request.remote, self.request.headers, trusted)

    @property
    def is_fragment(self) -> bool:
        """Whether a piece of a page is wanted, not a page (htmx says so)."""
        return "HX-Request" in self.request.headers

    def id(self, name: str = "id") -> int:
        """Return the id in the path. Raises NotFound for what cannot be one."""
        try:
            return parse_id(self.request.match_info[name], field=name)
        except Refused:
            raise NotFound("page_missing", "there is nothing here") from None

    def given(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of these parameters that the query has. Raises Refused."""
        found = {name: self.request.query[name] for name in names if name in self.request.query}
        _refuse_nul(found)
        return found

    def query(self, kind: type[T], *, with_empty: bool = False) -> T:
        """Return the query as `kind`, as a rule without empty values. Raises Refused that names the parameter."""
        given = {name: value for name, value in self.request.query.items() if value != "" or with_empty}
        _refuse_nul(given)
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Refused("bad_request", str(error)) from None


def parse_id(text: str, *, field: str) -> int:
    """Read a row's id. Raises Refused."""
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > MAX_ID:
        raise Refused("bad_id", f"{field} is not an id", field=field)
    return int(text)


def parse_moment(text: str, *, field: str) -> datetime:
    """Read an RFC 3339 moment or a date (its beginning in UTC). Raises Refused."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("bad_time", f"{field} is not an RFC 3339 time", field=field) from None
    return _in_bounds(at, field=field)


def sent_moment(at: datetime | None, *, field: str) -> datetime | None:
    """Return a moment of a body in UTC. Raises Refused for one without its offset, and for a wild one."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise Refused("bad_time", f"{field} needs its offset, as in 2026-11-24T09:00:00+03:00", field=field)
    return _in_bounds(at, field=field)


def _in_bounds(at: datetime, *, field: str) -> datetime:
    # Outside of these years the way to UTC itself may overflow.
    if not EARLIEST <= at.year < LATEST:
        raise Refused("bad_time", f"{field} must lie between {EARLIEST} and {LATEST}", field=field)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def write_cursor(*parts: str | int | datetime) -> str:
    """Write the place behind the last row of a page: opaque to the asker, plain to us."""
    texts = [part.astimezone(UTC).isoformat() if isinstance(part, datetime) else str(part) for part in parts]
    return msgspec.json.encode(texts).hex()


def read_cursor(text: str) -> tuple[str, int]:
    """Read (key, id) of a cursor. Raises Refused."""
    try:
        key, row_id = msgspec.json.decode(bytes.fromhex(text), type=tuple[str, str])
    except (ValueError, msgspec.DecodeError):
        raise Refused("bad_cursor", "not a cursor of this list", field="cursor") from None
    return key, parse_id(row_id, field="cursor")


def read_time_cursor(text: str | None) -> tuple[datetime, int] | None:
    """Read (moment, id) of a cursor; None for None. Raises Refused."""
    if not text:
        return None
    key, row_id = read_cursor(text)
    return parse_moment(key, field="cursor"), row_id


async def read_body(request: web.Request, *, at_most: int) -> bytes:
    """Read the body. Raises TooLarge before more than `at_most` bytes are held, TooSlow when it does not come."""
    body = bytearray()
    async with _in_time(request, at_most=at_most):
        async for chunk in request.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > at_most:
                raise TooLarge("too_large", f"at most {at_most} bytes")
    return bytes(body)


@contextlib.asynccontextmanager
async def _in_time(request: web.Request, *, at_most: int) -> AsyncIterator[None]:
    """Bound the reading of a body: what is too large by its own word is refused unread, a trickle after its time."""
    announced = request.content_length
    if announced is not None and announced > at_most:
        raise TooLarge("too_large", f"at most {at_most} bytes")
    try:
        async with asyncio.timeout(BODY_WITHIN_S + (at_most if announced is None else announced) / SLOWEST_BYTES_S):
            yield
    except TimeoutError:
        raise TooSlow("too_slow", "the body did not come in time") from None
    except web.RequestPayloadError:
        raise Refused("bad_request", "the body cannot be read") from None


async def read_form(request: web.Request, *, is_signed_in: bool) -> Form:
    """Read a form of either encoding within the bounds above. Raises Refused."""
    if is_signed_in and request.content_type == "multipart/form-data":
        return await _read_multipart(request)
    body = await read_body(request, at_most=MAX_FORM_BYTES if is_signed_in else MAX_STRANGERS_FORM_BYTES)
    if not body:
        return Form({})
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refused("bad_content_type", "a form is expected")
    try:
        every = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise Refused("bad_request", "the form cannot be read") from None
    fields = dict(every)
    _refuse_nul(fields)
    return Form(fields, every=tuple(every))


async def _read_multipart(request: web.Request) -> Form:
    fields: dict[str, str] = {}
    files: list[Upload] = []
    left = MAX_UPLOAD_BYTES
    try:
        async with _in_time(request, at_most=MAX_UPLOAD_BYTES + MAX_FORM_BYTES):
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader):
                    raise Refused("bad_request", "a form within a form")
                content = await _read_part(part, at_most=left)
                left -= len(content)
                if part.filename is None:
                    fields[part.name or ""] = content.decode("utf-8", "replace")
                elif content or part.filename:
                    files.append(Upload(part.filename, part.headers.get("Content-Type", ""), content))
                if len(files) > MAX_FILES or len(fields) > 100:
                    raise Refused("too_many", f"at most {MAX_FILES} files")
    except ValueError:
        raise Refused("bad_request", "the form cannot be read") from None
    _refuse_nul(fields)
    return Form(fields, tuple(files))


def _refuse_nul(fields: Mapping[str, str]) -> None:
    """Text with U+0000 has no place in PostgreSQL, nor anywhere else."""
    for name, value in fields.items():
        if "\x00" in value:
            raise Refused("control_character", "text must not contain U+0000", field=name)


async def _read_part(part: BodyPartReader, *, at_most: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        content += chunk
        if len(content) > at_most:
            raise TooLarge("too_large", f"at most {MAX_UPLOAD_BYTES // 1024 // 1024} MB together", field="files")
    return bytes(content)
