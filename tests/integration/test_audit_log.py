"""The audit log: administrators read it by page and API, in words; nobody else gets any of it."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.crm.audit import record
from hub.crm.audit.choices import AuditNoun, AuditVerb
from hub.crm.audit.table import AUDIT
from hub.crm.base import records
from hub.crm.contacts.table import CONTACTS
from hub.crm.models import audit, users
from hub.web.audit_words import act_of
from tests.factories import T0, got
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def test_an_administrator_finds_acts_by_person_word_and_time(site: Site) -> None:
    olga = await site.person("olga")
    await site.person("root", role="admin", team=None)
    async with site.db.begin() as conn:
        await conn.execute(sa.delete(audit))
        await record(
            conn, "recording.listened", at=T0, user_id=olga.user_id, object_kind="recording", object_id=7,
            details={"call": 5, "name": "<b>"},
        )  # fmt: skip
        await record(conn, "mailbox.paused", at=T0 + timedelta(hours=1), user_id=None, object_kind="mailbox")
        await record(conn, "vault.dropped", at=T0 + timedelta(hours=2), user_id=None, object_kind="vault")
    api, browser = await site.api("root"), await site.browser("root")
    async with site.db.begin() as conn:
        await conn.execute(sa.delete(audit).where(audit.c.action.in_(("token.created", "session.opened"))))
    (newest, _paused, oldest) = (await got(api, "audit"))["items"]
    assert newest["action"] == "vault.dropped"
    assert oldest == {
        "id": oldest["id"], "at": "2026-11-24T09:00:00.000Z", "action": "recording.listened",
        "object_kind": "recording", "object": 7, "user": {"id": olga.user_id, "name": "Olga"},
        "details": {"call": 5, "name": "<b>"},
    }  # fmt: skip
    of_olga = json.dumps({"field": "user", "op": "is", "value": [olga.user_id]})
    for params, wanted in (
        ({"user": str(olga.user_id)}, ["recording.listened"]),
        ({"action": "mailbox.paused"}, ["mailbox.paused"]),
        ({"q": "Recording"}, ["recording.listened"]),
        ({"where": of_olga}, ["recording.listened"]),
        ({"from": "2026-11-24T10:00:00Z", "to": "2026-11-24T11:00:00Z"}, ["mailbox.paused"]),
    ):
        assert [one["action"] for one in (await got(api, "audit", **params))["items"]] == wanted, params
        assert (await got(api, "audit/count", **params))["count"] == 1
    async with browser.get("/audit") as answer:
        text = await answer.text()
    assert "Recording:</span> listened to" in " ".join(text.split())
    assert "&lt;b&gt;" in text and "<b>" not in text.partition("records__cell")[2]
    assert "vault:" in text


async def test_nobody_but_an_administrator_reads_the_audit(site: Site) -> None:
    olga = await site.person("olga")
    for path in ("audit", "audit/count", "audit/1"):
        await got(await site.api("olga"), path, 403)
    async with (await site.browser("olga")).get("/audit") as answer:
        assert answer.status == 403
    async with site.db.begin() as conn:
        await record(conn, "client.created", at=T0, user_id=olga.user_id, object_kind="client")
        assert (await records.page(conn, olga, AUDIT)).items == []


def test_an_act_is_told_in_words_and_an_unknown_one_as_it_stands() -> None:
    assert act_of("client.created") == (AuditNoun.CLIENT.label, AuditVerb.CREATED.label)
    assert act_of("contacts.exported") == (CONTACTS.titles, AuditVerb.EXPORTED.label)
    assert act_of("vault.batch_sealed") == ("vault", "batch_sealed")
    assert act_of("odd") == ("odd", "")


async def test_details_are_told_in_the_readers_language(site: Site) -> None:
    root = await site.person("root", role="admin", team=None)
    told = (
        ("user.password_set", "user", {"way": "link"}),
        ("operation.begun", "operation", {"kind": "bulk_edit", "object_kind": "client", "total": 3}),
        ("team_rules.changed", "team", {"when_closed": ["fallback", "voicemail"], "record_calls": [False, True]}),
        ("queue_item.claim_failed", "queue_item", {"reason": "NOANSWER"}),
        ("call.linked", "call", {"client": 17, "before": None}),
    )
    async with site.db.begin() as conn:
        for action, kind, details in told:
            await record(conn, action, at=T0, user_id=root.user_id, object_kind=kind, object_id=7, details=details)
        await conn.execute(sa.update(users).where(users.c.id == root.user_id).values(language="ru"))
    async with (await site.browser("root")).get("/audit") as answer:
        text = " ".join(re.sub(r"<[^>]+>", " ", await answer.text()).split())
    for said in (
        "Как: по ссылке", "Вид: Изменение многих записей", "Записи: Клиенты", "Когда закрыто: ",
        "решает АТС → голосовая почта", "Причина: телефон не ответил", "Клиент: № 17", "Прежний клиент: –",
        "Правила звонков",
    ):  # fmt: skip
        assert said in text, said
