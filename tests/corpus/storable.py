"""What must hold of any reading of any bytes: the database takes it."""

from __future__ import annotations

import json
import re

from hub.mail.reading.parsing import Reading

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def assert_fits(reading: Reading) -> None:
    """Every string can be stored as UTF-8 and fits its column (`hub/mail/models.py`)."""
    got = reading.parsed
    limits: list[tuple[str, int]] = [(got.subject, 1000), (got.message_id, 500), (got.in_reply_to, 500)]
    limits += [(one, 500) for one in got.references]
    people = [*got.to, *got.cc, *got.bcc, *got.reply_to, *([got.from_] if got.from_ else [])]
    limits += [(one.name, 300) for one in people] + [(one.address, 254) for one in people]
    for file in got.attachments:
        limits += [(file.name, 300), (file.type, 201), (file.cid or "", 300)]
        assert file.name and file.size == len(file.content)
    limits += [(reading.text, 4_500_000), (reading.html or "", 30_000_000), (got.also, 100_000), (reading.terms, 10**7)]
    about = json.dumps(got.about, ensure_ascii=False)
    limits += [(about, 200_000), *((defect, 30) for defect in got.defects)]
    assert json.loads(about) == got.about
    for text, most in limits:
        assert len(text) <= most, text[:200]
        assert not _UNSTORABLE.search(text), text[:200]
    for key, value in got.about.items():
        assert key in ("event", "signed", "encrypted")
        assert key == "event" or value in ("smime", "pgp")
    assert "\\u0000" not in json.dumps(got.about)
