"""What `hub doctor` says of a mailbox: the way in, what is offered, space, tokens, keys, and the domain's records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.mail.accounts.doctor import examine
from hub.settings import Mailbox
from hub.store.engine import Database
from tests.fakes.dns_server import FakeDns, fake_dns
from tests.fakes.imap_server import fake_imap
from tests.integration.test_mail_keeper import Office
from tests.testbed.hub import run_command
from tests.testbed.smtp import running_peer

GOOD = {
    ("firm.ru", "TXT"): ['"v=spf1 include:_spf.firm.ru -all"'],
    ("_dmarc.firm.ru", "TXT"): ['"v=DMARC1; p=none"'],
    ("_domainkey.firm.ru", "TXT"): ['"o=-"'],
}


async def told_of(dns: FakeDns, *, capabilities: bytes = b"IMAP4rev1 IDLE MOVE QUOTA", taken: int = 10) -> str:
    async with fake_imap() as imap, running_peer() as smtp:
        imap.capabilities = capabilities

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if command.startswith(b"GETQUOTAROOT"):
                return b"* QUOTAROOT INBOX a\r\n* QUOTA a (STORAGE %d 100)\r\n%s OK done\r\n" % (taken, tag)
            return None

        imap.instead = instead
        box = Mailbox(address="anna@firm.ru", team="sales", imap=imap.settings, smtp=smtp.server())
        told = await examine(box, resolver=dns.resolver)
        assert not any(line.startswith("MAIL") for line in smtp.heard)
    return "\n".join(f"{level} {text} → {mend}" for level, text, mend in told)


async def test_a_sound_mailbox_is_told_with_what_its_server_offers() -> None:
    async with fake_dns() as dns:
        dns.records |= GOOD
        told = await told_of(dns)
    assert "signed in by LOGIN command" in told and "offers IDLE, MOVE" in told
    assert "ok imap 127.0.0.1" in told and "10% of its space are taken" in told
    assert "sent mail goes to Sent" in told and "firm.ru has SPF, DKIM and DMARC records" in told
    assert "warn" not in told and "bad" not in told


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("firm.ru", "has no SPF record"),
        ("_dmarc.firm.ru", "has no DMARC record"),
        ("_domainkey.firm.ru", "has no DKIM key"),
    ],
)
async def test_a_record_that_the_domain_lacks_is_named_with_the_line_that_mends_it(missing: str, said: str) -> None:
    async with fake_dns() as dns:
        dns.records |= {key: value for key, value in GOOD.items() if key[0] != missing}
        told = await told_of(dns)
    assert told.count("warn") == 1 and said in told


async def test_a_full_mailbox_and_a_server_without_idle_are_warned_of() -> None:
    async with fake_dns() as dns:
        dns.records |= GOOD
        told = await told_of(dns, capabilities=b"IMAP4rev1 QUOTA", taken=95)
        assert "warn" in told and "95% of its space" in told and "offers no IDLE" in told
        assert "bad imap" in await told_of(dns, taken=100)


async def test_the_command_names_a_secret_that_no_key_opens_and_a_file_of_keys_that_is_gone(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    office = Office(db, tmp_path / "data")
    await office.begin()
    async with fake_imap() as imap:
        await office.add(imap)
        config = tmp_path / "hub.toml"
        config.write_text(
            f'[hub]\ndatabase = "{db_url}"\ndata_dir = "{tmp_path}/data"\npage_networks = ["127.0.0.0/8"]\n'
        )
        config.chmod(0o600)

        async def findings() -> str:
            _, out, err = await run_command("doctor", "--config", str(config), "--json")
            assert "Traceback" not in err
            return "\n".join(f"{f['level']} {f['place']}: {f['text']}" for f in json.loads(out)["findings"])

        told = await findings()
        assert "ok secrets: " in told and "every secret opens" in told
        assert "ok mailbox box@hub.test: imap 127.0.0.1" in told
        async with db.begin() as conn:
            await conn.execute(sa.text("UPDATE mail_secrets SET key_id = '0000dead'"))
        assert "bad secrets: mail_secrets/1/imap: its key 0000dead is not in" in await findings()
        office.vault.path.rename(tmp_path / "lost")
        assert "the file with the keys of the secrets is missing" in await findings()
        code, out, _ = await run_command("keys", "rotate", "--config", str(config))
        assert code == 1 and out == ""
