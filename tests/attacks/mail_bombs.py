"""Messages made to stop a mail program, by name. Each is made when asked for, since together they are large."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
from collections.abc import Callable

from tests.corpus.making import containers
from tests.corpus.making.letter import bare, file, letter, multi, part

_HEAD = ("From: a@x.example", "To: sales@hub.test", "Subject: bomb")


def _plain(*head: str, body: str | bytes = "x") -> bytes:
    return bare("From: a@x.example", *head, body=body)


def _html(body: str) -> bytes:
    return bare(*_HEAD, "Content-Type: text/html; charset=utf-8", body=body)


def _nested(depth: int) -> bytes:
    head = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth))
    return b"From: a@x.example\r\n" + head + b"\r\nx" + b"".join(b"\r\n--b%d--" % n for n in reversed(range(depth)))


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    found = multi("mixed", part(body="see"), file("application/zip", "a.zip", out.getvalue()))
    return letter(found[0], body=found[1])


def _with(*parts: bytes) -> bytes:
    found = multi("mixed", part(body="see"), *parts)
    return letter(found[0], body=found[1])


def _calendar() -> bytes:
    lines = ["DTSTART:20260101T000000Z", "RRULE:FREQ=SECONDLY;COUNT=2000000000", *["EXDATE:20260101T000000Z"] * 50_000]
    return _with(containers.calendar(containers.one_event(*lines)))


def _megabytes(count: int) -> bytes:
    line = base64.b64encode(bytes(range(57))) + b"\r\n"
    return letter(
        "Content-Type: application/octet-stream; name=big.bin",
        "Content-Transfer-Encoding: base64",
        body=line * (count * 1_000_000 // len(line)),
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "20,000 quotes in To": lambda: _plain("To: " + '"' * 20_000 + " <a@b>"),
    "20,000 encoded words in To": lambda: _plain("To: " + "=?utf-8?Q?a?= " * 20_000),
    "20,000 encoded words in the subject": lambda: _plain("Subject: " + "=?utf-8?B?YQ==?= " * 20_000),
    "20,000 words of 20,000 charsets": lambda: _plain("Subject: " + "".join(f"=?x{n}?Q?=D0?= " for n in range(20_000))),
    "nesting 1,000 deep": lambda: _nested(1_000),
    "messages within messages": lambda: (
        b"From: a@x.example\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 5_000 + b"x"
    ),
    "50,000 addresses": lambda: _plain("To: " + ", ".join(f"a{n}@x.example" for n in range(50_000))),
    "a head of 5 MB": lambda: _plain("Subject: " + "a" * 5_000_000),
    "1,000,000 headers": lambda: _plain(*["X: y"] * 1_000_000),
    "10,000 parts": lambda: _with(*[part(body="x")] * 10_000),
    "10,000 parameters": lambda: _plain("Content-Type: text/plain" + "; a*0*=x" * 10_000),
    "endless base64": lambda: _plain("Content-Transfer-Encoding: base64", body=b"QUJD" * 2_000_000),
    "base64 of padding": lambda: _plain("Content-Transfer-Encoding: base64", body=b"A=" * 2_000_000),
    "a zip bomb": _zip_bomb,
    "a charset bomb": lambda: _plain("Content-Type: text/plain; charset=zlib", body=gzip.compress(b"\0" * 50_000_000)),
    "8-bit noise": lambda: _plain("Content-Type: text/plain", body=bytes(range(128, 256)) * 30_000),
    "utf-7 shifts": lambda: _plain("Content-Type: text/plain; charset=utf-7", body="+AGE-" * 500_000),
    "100,000 nested tags": lambda: _html("<div>" * 100_000 + "x"),
    "100,000 formatting tags": lambda: _html("<b><i><font color=red>" * 33_000 + "x"),
    "1,000,000 attributes": lambda: _html("<p " + " ".join(f"a{n}=b" for n in range(1_000_000)) + ">x"),
    "50,000 styles": lambda: _html("".join(f"<p style='color:#{n:06x};margin:{n}px'>x" for n in range(50_000))),
    "50,000 links": lambda: _html(
        "".join(f"<a href='http://x{n}.example/'>http://y{n}.example</a>" for n in range(50_000))
    ),
    "huge data addresses": lambda: _html(f"<img src='data:image/png;base64,{'A' * 1_500_000}'>" * 3),
    "quotes 50,000 deep": lambda: _plain(body="> " * 50_000 + "\r\n" + "> x\r\n" * 50_000),
    "text of 20 MB": lambda: _plain("Content-Type: text/plain; charset=utf-8", body="Слово за слово. " * 700_000),
    "a recurrence without an end": _calendar,
    "winmail of 100,000 frames": lambda: _with(
        file("application/ms-tnef", "winmail.dat", containers.tnef(containers.frame(1, 0x8004, b"") * 100_000))
    ),
    "winmail of 10,000 files": lambda: _with(
        file("application/ms-tnef", "winmail.dat", containers.tnef(containers.tnef_file("a", b"x") * 10_000))
    ),
    "rich text of groups": lambda: _plain("Content-Type: text/rtf", body=b"{\\b" * 600_000),
    "uuencode without an end": lambda: _plain(body="begin 644 a\r\n" * 200_000),
    "seals within seals": lambda: containers.p7m(b"\x30\x80" * 500_000, "signed-data"),
    "100 MB": lambda: _megabytes(100),
}
