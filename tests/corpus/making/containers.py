"""Formats within mail: winmail.dat, invitations, seals, uuencode."""

from __future__ import annotations

import binascii
import struct

from asn1crypto import cms

from tests.corpus.making.letter import HTML, PLAIN, RU, Cases, b64, file, letter, multi, nested, part

cases = Cases("within")
TEXT = part(PLAIN, body="plain")


def add(name: str, found: tuple[str, bytes], **expected: object) -> None:
    cases.add(name, letter(found[0], body=found[1]), **expected)


def frame(level: int, kind: int, data: bytes, form: int = 6) -> bytes:
    """An attribute of TNEF (MS-OXTNEF §2.1.3)."""
    return struct.pack("<BHHI", level, kind, form, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def properties(*found: tuple[int, int, bytes]) -> bytes:
    """Properties as (type, id, value): fixed values as they are, variable ones counted and padded."""
    out = struct.pack("<I", len(found))
    for form, name, value in found:
        out += struct.pack("<HH", form, name)
        if form in (0x1E, 0x1F, 0x102, 0xD):
            out += struct.pack("<II", 1, len(value)) + value + b"\0" * (-len(value) % 4)
        else:
            out += value
    return out


def tnef(*frames: bytes) -> bytes:
    version = frame(1, 0x9006, struct.pack("<I", 0x10000))
    page = frame(1, 0x9007, struct.pack("<II", 1251, 0))
    return struct.pack("<IH", 0x223E9F78, 1) + version + page + b"".join(frames)


def tnef_file(name: str, content: bytes, *more: tuple[int, int, bytes]) -> bytes:
    return b"".join(
        (
            frame(2, 0x9002, b"\0" * 14),
            frame(2, 0x8010, name.encode("cp1251", "replace") + b"\0", 1),
            frame(2, 0x800F, content),
            frame(2, 0x9005, properties((0x1F, 0x3707, (name + "\0").encode("utf-16-le")), *more)),
        )
    )


def lzfu(raw: bytes) -> bytes:
    """Compressed RTF of literals only (MS-OXRTFCP §2.1.3)."""
    body = b"".join(b"\0" + raw[place : place + 8] for place in range(0, len(raw), 8))
    return struct.pack("<IIII", len(body) + 12, len(raw), 0x75465A4C, binascii.crc32(body)) + body


RTF = rb"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2, \u1048?\u1074?\u1072?\u1085?!\par OK}"
WINMAIL = "application/ms-tnef"
add(
    "tnef-files",
    multi(
        "mixed", TEXT, file(WINMAIL, "winmail.dat", tnef(tnef_file("Счёт.pdf", b"%PDF-1.4"), tnef_file("b.txt", b"x")))
    ),
    text="plain",
    files=[["Счёт.pdf", "application/octet-stream", 8], ["b.txt", "application/octet-stream", 1]],
    defects=[],
)
add(
    "tnef-body",
    multi("mixed", part(PLAIN), file(WINMAIL, "winmail.dat", tnef(frame(1, 0x800C, RU.encode("cp1251") + b"\0", 2)))),
    text_has=[RU],
    files=[],
)
add(
    "tnef-rtf-body",
    multi(
        "mixed",
        file("application/octet-stream", "winmail.dat", tnef(frame(1, 0x9003, properties((0x102, 0x1009, lzfu(RTF)))))),
    ),
    text="Привет, Иван!\nOK",
)
add(
    "tnef-html-body",
    multi(
        "mixed",
        file(
            WINMAIL,
            "winmail.dat",
            tnef(
                frame(
                    1,
                    0x9003,
                    properties((3, 0x3FDE, struct.pack("<I", 1251)), (0x102, 0x1013, f"<p>{RU}</p>".encode("cp1251"))),
                )
            ),
        ),
    ),
    html_has=[RU],
)
add(
    "tnef-inline-picture",
    multi(
        "mixed",
        TEXT,
        file(
            WINMAIL,
            "winmail.dat",
            tnef(
                tnef_file(
                    "a.png",
                    b"png",
                    (0x1F, 0x370E, "image/png\0".encode("utf-16-le")),
                    (0x1F, 0x3712, "p@x\0".encode("utf-16-le")),
                )
            ),
        ),
    ),
    files=[["a.png", "image/png", 3]],
)
add(
    "tnef-cut",
    multi("mixed", TEXT, file(WINMAIL, "winmail.dat", tnef(tnef_file("a.pdf", b"%PDF" * 9))[:-60])),
    text="plain",
)
add(
    "tnef-of-nothing",
    multi("mixed", TEXT, file(WINMAIL, "winmail.dat", tnef())),
    files=[["winmail.dat", WINMAIL]],
    defects_has=["tnef"],
)
add(
    "tnef-that-is-none",
    multi("mixed", TEXT, file(WINMAIL, "winmail.dat", b"rubbish")),
    files=[["winmail.dat", WINMAIL, 7]],
)

INVITE = """BEGIN:VCALENDAR
PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN
VERSION:2.0
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Russian Standard Time
BEGIN:STANDARD
DTSTART:16010101T000000
TZOFFSETFROM:+0300
TZOFFSETTO:+0300
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:040000008200E00074C5B7101A82E008
SUMMARY;LANGUAGE=ru:Совещание\\, важное
DTSTART;TZID=Russian Standard Time:20261124T101200
DTEND;TZID=Russian Standard Time:20261124T111200
LOCATION:Переговорная 1
DESCRIPTION:Повестка:\\n1. Счёт
ORGANIZER;CN=Мария Зуева:mailto:zueva@severles.example
ATTENDEE;CN=Иван;PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT:mailto:ivan@hub.exam
 ple
SEQUENCE:2
RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=10
END:VEVENT
END:VCALENDAR
"""
EVENT = {
    "method": "REQUEST",
    "uid": "040000008200E00074C5B7101A82E008",
    "sequence": 2,
    "summary": "Совещание, важное",
    "place": "Переговорная 1",
    "description": "Повестка:\n1. Счёт",
    "start": {"at": "2026-11-24T10:12:00+03:00", "zone": "Russian Standard Time", "all_day": False},
    "end": {"at": "2026-11-24T11:12:00+03:00"},
    "organiser": {"name": "Мария Зуева", "address": "zueva@severles.example"},
    "attendees": [{"name": "Иван", "address": "ivan@hub.example", "status": "NEEDS-ACTION", "role": "REQ-PARTICIPANT"}],
    "recurrence": {"en": "every week on Tuesday 10 times", "ru": "каждую неделю по вторникам 10 раз"},
}


def calendar(text: str, params: str = "; method=REQUEST") -> bytes:
    return part(f"Content-Type: text/calendar; charset=utf-8{params}", body=text.replace("\n", "\r\n"))


def one_event(*lines: str, method: str = "REQUEST") -> str:
    return "\n".join(
        ["BEGIN:VCALENDAR", f"METHOD:{method}", "BEGIN:VEVENT", "UID:1@x", *lines, "END:VEVENT", "END:VCALENDAR"]
    )


add(
    "invite-of-outlook",
    multi("alternative", TEXT, part(HTML, body="<p>rich</p>"), calendar(INVITE)),
    text="plain",
    about={"event": EVENT},
    files=[["attachment-1.ics", "text/calendar"]],
)
add(
    "invite-as-a-file",
    multi("mixed", TEXT, file("application/ics", "invite.ics", INVITE.encode())),
    about={"event": EVENT},
    files=[["invite.ics", "application/ics"]],
)
add(
    "invite-as-octets",
    multi("mixed", TEXT, file("application/octet-stream", "invite.ics", INVITE.encode())),
    about={"event": {"summary": "Совещание, важное"}},
)
cases.add(
    "invite-alone",
    letter("Content-Type: text/calendar; method=CANCEL", body=one_event("SUMMARY:Off", method="CANCEL")),
    text=None,
    about={"event": {"method": "CANCEL", "summary": "Off"}},
)
EVENTS = {
    "all-day": (
        ["DTSTART;VALUE=DATE:20261124", "DTEND;VALUE=DATE:20261125"],
        {"start": {"at": "2026-11-24", "zone": "", "all_day": True}, "recurrence": None},
    ),
    "utc": (
        ["DTSTART:20261124T071200Z"],
        {"start": {"at": "2026-11-24T07:12:00+00:00", "zone": "UTC", "all_day": False}, "end": None},
    ),
    "floating": (["DTSTART:20261124T101200"], {"start": {"at": "2026-11-24T10:12:00", "zone": ""}}),
    "iana-zone": (
        ["DTSTART;TZID=Europe/Kyiv:20260724T101200", "DURATION:PT1H30M"],
        {"start": {"at": "2026-07-24T10:12:00+03:00"}, "end": {"at": "2026-07-24T11:42:00+03:00"}},
    ),
    "zone-with-a-path": (
        ["DTSTART;TZID=/citadel.org/20210210_1/Europe/Moscow:20260724T101200"],
        {"start": {"at": "2026-07-24T10:12:00+03:00"}},
    ),
    "unknown-zone": (
        ["DTSTART;TZID=Neverland:20260724T101200"],
        {"start": {"at": "2026-07-24T10:12:00", "zone": "Neverland"}},
    ),
    "endless": (["RRULE:FREQ=SECONDLY;INTERVAL=1"], {"recurrence": {"en": "every second", "ru": "каждую секунду"}}),
    "monthly": (
        ["RRULE:FREQ=MONTHLY;BYDAY=2TU,-1FR;UNTIL=20271231T000000Z"],
        {
            "recurrence": {
                "en": "every month on the 2nd Tuesday and the last Friday until 2027-12-31",
                "ru": "каждый месяц в 2-й вторник и последнюю пятницу до 31.12.2027",
            }
        },
    ),
    "yearly": (
        ["RRULE:FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=8"],
        {"recurrence": {"en": "every year on day 8 in March", "ru": "каждый год 8-го числа в марте"}},
    ),
    "every-two-weeks": (
        ["RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE"],
        {"recurrence": {"ru": "раз в 2 недели по понедельникам и средам"}},
    ),
    "broken-lines": (
        ["DTSTART:yesterday", "SUMMARY:Yet", "RRULE:FREQ=;BYDAY=XX", "ATTENDEE", "ORGANIZER:"],
        {"summary": "Yet", "start": None, "organiser": None, "recurrence": {"en": "repeats"}},
    ),
    "koi8-r-is-not-utf-8": (["SUMMARY:Совещание"], {"summary": "Совещание"}),
}
for name, (lines, event) in EVENTS.items():
    text = calendar(one_event(*lines))
    if name.startswith("koi8"):
        text = text.decode().encode("koi8-r")
    add(f"event-{name}", multi("mixed", TEXT, text), about={"event": event})
add("calendar-without-an-event", multi("mixed", TEXT, calendar("BEGIN:VCALENDAR\nEND:VCALENDAR\n")), about={})
add("calendar-of-rubbish", multi("mixed", TEXT, calendar("\x00\x01 rubbish")), about={})
add(
    "reply-to-an-invitation",
    multi(
        "mixed",
        TEXT,
        calendar(one_event("ATTENDEE;PARTSTAT=DECLINED:mailto:i@x.example", method="REPLY"), "; method=REPLY"),
    ),
    about={
        "event": {
            "method": "REPLY",
            "attendees": [{"name": "", "address": "i@x.example", "status": "DECLINED", "role": ""}],
        }
    },
)

SIGNATURE = part(
    'Content-Type: application/pgp-signature; name="signature.asc"',
    body="-----BEGIN PGP SIGNATURE-----\r\n\r\nx\r\n-----END PGP SIGNATURE-----",
)
SMIME_SIGNATURE = file("application/pkcs7-signature", "smime.p7s", b"0\x80")
add(
    "pgp-signed",
    multi("signed", TEXT, SIGNATURE, params='; protocol="application/pgp-signature"; micalg=pgp-sha256'),
    text="plain",
    about={"signed": "pgp"},
)
add(
    "smime-signed",
    multi(
        "signed",
        nested("alternative", TEXT, part(HTML, body="<p>rich")),
        SMIME_SIGNATURE,
        params='; protocol="application/pkcs7-signature"',
    ),
    text="plain",
    html_has=["rich"],
    about={"signed": "smime"},
    files=[["smime.p7s", "application/pkcs7-signature"]],
)
add(
    "pgp-encrypted",
    multi(
        "encrypted",
        part("Content-Type: application/pgp-encrypted", body="Version: 1"),
        part("Content-Type: application/octet-stream; name=encrypted.asc", body="-----BEGIN PGP MESSAGE-----"),
        params='; protocol="application/pgp-encrypted"',
    ),
    about={"encrypted": "pgp"},
)
cases.add(
    "pgp-inline-signed",
    letter(
        PLAIN,
        body=f"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n{RU}\r\n- -- \r\nM\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nx\r\n-----END PGP SIGNATURE-----\r\n",  # noqa: E501 one letter, one line
    ),
    text=f"{RU}\n-- \nM",
    about={"signed": "pgp"},
)
cases.add(
    "pgp-inline-encrypted",
    letter(PLAIN, body="-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----"),
    about={"encrypted": "pgp"},
    text_has=["hQEMA"],
)


def signed(content: bytes | None) -> bytes:
    inner = {"content_type": "data"} | ({"content": content} if content is not None else {})
    data = {"version": "v1", "digest_algorithms": [], "encap_content_info": inner, "signer_infos": []}
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump())


def p7m(content: bytes, kind: str) -> bytes:
    head = (
        f"Content-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m",
        "Content-Transfer-Encoding: base64",
    )
    return letter(*head, body=b64(content))


cases.add(
    "smime-opaque-signed",
    p7m(signed(part(PLAIN, body=RU)), "signed-data"),
    text=RU,
    about={"signed": "smime"},
    files=[],
)
cases.add(
    "smime-opaque-signed-multipart",
    p7m(signed(nested("mixed", TEXT, file("application/pdf", "a.pdf", b"%PDF"))), "signed-data"),
    text="plain",
    about={"signed": "smime"},
    files=[["a.pdf", "application/pdf", 4]],
)
cases.add(
    "smime-opaque-without-content",
    p7m(signed(None), "signed-data"),
    about={"signed": "smime"},
    files=[["smime.p7m", "application/pkcs7-mime"]],
)
cases.add(
    "smime-encrypted",
    p7m(b"0\x80rubbish", "enveloped-data"),
    about={"encrypted": "smime"},
    files=[["smime.p7m", "application/pkcs7-mime"]],
)
cases.add("smime-certificates", p7m(b"0\x80", "certs-only"), about={}, files=[["smime.p7m", "application/pkcs7-mime"]])

UU = b"begin 644 offer.txt\n" + binascii.b2a_uu(b"Hello, file") + b"`\nend\n"
cases.add(
    "uuencoded-file-in-the-text",
    letter(PLAIN, body=b"before\r\n" + UU.replace(b"\n", b"\r\n") + b"after"),
    text="before\nafter",
    files=[["offer.txt", "application/octet-stream", 11]],
)
cases.add("uuencoded-two-files", letter(PLAIN, body=UU + UU), files=[["offer.txt", None, 11], ["offer.txt", None, 11]])
cases.add("uuencoded-without-end", letter(PLAIN, body=UU.replace(b"end\n", b"")), files=[["offer.txt", None, 11]])
cases.add(
    "begin-that-is-prose",
    letter(PLAIN, body="begin 644 times\r\nand again, наконец"),
    text="begin 644 times\nand again, наконец",
    files=[],
)
add(
    "uuencoded-part",
    multi(
        "mixed",
        TEXT,
        part("Content-Type: application/x-thing; name=offer.txt", "Content-Transfer-Encoding: x-uuencode", body=UU),
    ),
    files=[["offer.txt", "application/x-thing", 11]],
)
