"""The ids that Hub writes into what it sends: known again by its key, also where a provider writes another."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hub.clock import utc_now
from hub.mail.intake.reply_tag import genuine
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import parse
from hub.mail.sending import submit
from hub.mail.sending.submit import NewMessage
from hub.settings import HubSection, Settings
from hub.store.encryption import reply_key
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


def test_every_process_has_the_same_key_and_nobody_else_reads_it(tmp_path: Path) -> None:
    settings = Settings(hub=HubSection(data_dir=str(tmp_path)))
    key = reply_key(settings)
    assert reply_key(settings) == key
    assert len(key) == 32
    (file,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_what_goes_out_carries_an_id_that_only_this_hub_can_make(site: Site) -> None:
    olga = await site.person("olga")
    message = await talk.message(site.db, site.blobs)
    new = NewMessage(mailbox="sales@hub.test", to=(Address("", "a@b.example"),), subject="s", text="t")
    key = b"k" * 32
    for answers, references in ((None, 0), (message, 1)):
        written = NewMessage(**{name: getattr(new, name) for name in NewMessage.__slots__} | {"in_reply_to": answers})
        frozen = await submit.freeze(site.db, site.blobs, olga, written, now=utc_now(), reply_key=key)
        sent = parse(await site.blobs.get(frozen.raw_sha256))
        domains = {"hub.test"}
        assert genuine(key, [sent.message_id], own_domains=domains) == (sent.message_id,)
        assert genuine(b"x" * 32, [sent.message_id], own_domains=domains) == ()
        assert sent.message_id not in sent.references
        assert len(sent.references) == references
