"""The pieces that the corpus is built from: heads, parts, multiparts, written byte by byte so that they may be wrong."""  # noqa: E501 one letter, one line

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

Case = tuple[bytes, dict[str, Any]]

RU = "Добрый день, Иван Петрович! Высылаем счёт на оплату и договор. Просим подтвердить получение."
FROM = "From: Maria Zueva <zueva@severles.example>"
REST = (
    "To: sales@hub.example",
    "Subject: Test",
    "Message-ID: <1@severles.example>",
    "Date: Tue, 24 Nov 2026 10:12:00 +0300",
)
PLAIN = "Content-Type: text/plain; charset=utf-8"
HTML = "Content-Type: text/html; charset=utf-8"


def encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def letter(*head: str | bytes, body: str | bytes = b"", newline: bytes = b"\r\n") -> bytes:
    """A message: the usual sender, date and id, then `head`, a blank line, `body`."""
    lines = [FROM.encode(), *(encoded(line) for line in REST), b"MIME-Version: 1.0", *(encoded(line) for line in head)]
    return newline.join([*lines, b"", encoded(body)])


def bare(*head: str | bytes, body: str | bytes = b"") -> bytes:
    """A message with this head and no other."""
    return b"\r\n".join([*(encoded(line) for line in head), b"", encoded(body)])


def part(*head: str | bytes, body: str | bytes = b"") -> bytes:
    return b"\r\n".join([*(encoded(line) for line in head), b"", encoded(body)])


def multi(kind: str, *parts: bytes, boundary: str = "b1", params: str = "", end: bool = True) -> tuple[str, bytes]:
    """The field and the body of a multipart: `letter(field, body=body)`."""
    mark = boundary.encode()
    body = b"".join(b"--" + mark + b"\r\n" + one + b"\r\n" for one in parts)
    return (
        f'Content-Type: multipart/{kind}; boundary="{boundary}"{params}',
        body + (b"--" + mark + b"--\r\n" if end else b""),
    )


def nested(kind: str, *parts: bytes, boundary: str = "b2", params: str = "") -> bytes:
    field, body = multi(kind, *parts, boundary=boundary, params=params)
    return part(field, body=body)


def b64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n").rstrip()


def file(kind: str, name: str, content: bytes = b"content", *more: str) -> bytes:
    head = (f'Content-Type: {kind}; name="{name}"', f'Content-Disposition: attachment; filename="{name}"')
    return part(*head, "Content-Transfer-Encoding: base64", *more, body=b64(content))


def word(text: str, charset: str = "utf-8", how: str = "B") -> str:
    """An encoded word."""
    raw = text.encode(charset)
    if how == "B":
        return f"=?{charset}?B?{base64.b64encode(raw).decode()}?="
    return f"=?{charset}?Q?{''.join(f'={byte:02X}' for byte in raw)}?="


@dataclass
class Cases:
    """The cases of one kind, by name."""

    kind: str
    found: dict[str, Case] = field(default_factory=dict)

    def add(self, name: str, raw: bytes, **expected: Any) -> None:
        """Expected is what `tests/unit/test_corpus.py` compares; see there for the names."""
        key = f"{self.kind}-{name}"
        assert key not in self.found, key
        self.found[key] = (raw, expected)
