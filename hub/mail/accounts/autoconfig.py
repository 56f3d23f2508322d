"""A provider's own word on its mail servers: autoconfig's XML read into settings. Pure.

Decides which of the servers named there is taken: encrypted before not, IMAP only. Invariant: what a stranger's server
answers cannot make the reader work without bound: no DTD, no entities, a few hundred elements at most.

Source: https://www.bucksch.org/1/projects/thunderbird/autoconfiguration/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from xml.parsers import expat  # declarations are refused before anything is expanded

MAX_BYTES = 64 * 1024
MOST_ELEMENTS = 500
Tls = Literal["tls", "starttls", "none"]
_SOCKETS: dict[str, Tls] = {"SSL": "tls", "STARTTLS": "starttls", "PLAIN": "none"}


class BadAutoconfig(ValueError):
    """What came is not to be read."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    host: str
    port: int
    tls: Tls
    username: str = ""


@dataclass(slots=True)
class _Reading:
    path: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    servers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    elements: int = 0
    text: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if self.elements > MOST_ELEMENTS:
            raise BadAutoconfig("too many elements")
        self.path.append(name)
        self.text = ""
        if name in ("incomingServer", "outgoingServer"):
            self.servers.append((attributes.get("type", "").lower(), {}))

    def end(self, name: str) -> None:
        self.path.pop()
        if self.path and self.path[-1] in ("incomingServer", "outgoingServer"):
            self.servers[-1][1].setdefault(name, self.text.strip()[:300])
        self.text = ""

    def characters(self, text: str) -> None:
        self.text = (self.text + text)[:1000]

    def refuse(self, *_: object) -> None:
        raise BadAutoconfig("a document type is not expected")


def read_autoconfig(xml: bytes, address: str) -> tuple[FoundServer, FoundServer] | None:
    """Return the servers for reading and sending, None where both are not named. Raises BadAutoconfig."""
    if len(xml) > MAX_BYTES:
        raise BadAutoconfig("too long")
    reading, parser = _Reading(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.CharacterDataHandler = reading.characters
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reading.refuse
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise BadAutoconfig(str(error)) from None
    imap, smtp = (_best(reading.servers, kind, address) for kind in ("imap", "smtp"))
    return (imap, smtp) if imap and smtp else None


def _best(servers: list[tuple[str, dict[str, str]]], kind: str, address: str) -> FoundServer | None:
    found = []
    for of_kind, about in servers:
        tls, port = _SOCKETS.get(about.get("socketType", "").upper()), about.get("port", "")
        if of_kind == kind and tls and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
            host = _filled(about.get("hostname", ""), address)
            if host:
                found.append(FoundServer(host, int(port), tls, _filled(about.get("username", ""), address)))
    order = ("tls", "starttls", "none")
    return min(found, key=lambda one: order.index(one.tls), default=None)


def _filled(text: str, address: str) -> str:
    local, _, domain = address.partition("@")
    for name, value in (("EMAILADDRESS", address), ("EMAILLOCALPART", local), ("EMAILDOMAIN", domain)):
        text = text.replace(f"%{name}%", value)
    return text
