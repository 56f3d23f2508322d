"""Sample facts for the page that shows every component in every state: of the real types, so they cannot differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.crm.base.entity import attributes
from hub.crm.clients import Address, Client, Contact
from hub.crm.queue import Item, ItemId, Kind
from hub.crm.timeline import Entry
from hub.mail.register import AttachmentRow, MailboxRow, MessageRow
from hub.mail.sending.composer import Writing, later_choices
from hub.mail.sending.drafts import Start
from hub.telephony.reading.call_kind import CallRow, LegRow
from hub.telephony.reading.panel import Panel
from hub.telephony.recordings.recording_files import RecordingPath
from hub.telephony.recordings.recordings import Recording


def facts(user_id: int, now: datetime) -> dict[str, Any]:
    """Return the values for `styleguide.html`, as seen by a person."""
    return {
        "items": items(user_id, now),
        "call": call(now),
        "panel": Panel(is_mine=True, may_hand_on=True, may_hold=True, recorded="on"),
        "held": Panel(is_mine=True, may_hold=True, is_held=True, recorded="paused"),
        "asking": Panel(is_mine=True, consulting="102"),
        "calls": [call(now), ended_call(now)],
        "recordings": {2: (recording(11, now),)},
        "entries": entries(now),
        "mailboxes": mailboxes(),
        "writing": writing(now),
        "now": now,
    }


def items(user_id: int, now: datetime) -> list[Item]:
    call_item = _item(1, "call", "ООО «Северный лес»", now - timedelta(seconds=42), client_id=1)
    stranger = _item(2, "call", "+79268112231", now - timedelta(seconds=95))
    mail = _item(3, "message", "Мария Зуева", now - timedelta(minutes=12), client_id=1)
    back = _item(4, "lead", "Кирилл Воронов", now - timedelta(hours=2), reason="callback")
    mine: dict[str, Any] = {
        "state": "claimed",
        "owner_id": user_id,
        "owner_name": "—",
        "claim_id": "0" * 16,
        "claimed_at": now,
    }
    theirs = mine | {"owner_id": -1, "owner_name": "Анна Иванова"}
    return [
        call_item,
        stranger,
        mail,
        back,
        replace(call_item, id=ItemId(5), data=call_item.data | {"call_state": "talking"}, **mine),
        replace(mail, id=ItemId(6), **mine),
        replace(mail, id=ItemId(7), **theirs),
    ]


def _item(
    number: int, kind: Kind, title: str, at: datetime, *, client_id: int | None = None, reason: str = "new"
) -> Item:
    data: dict[str, Any] = {"call_state": "waiting", "did": "74950000100", "reason": reason, "message_id": 1}
    data |= {
        "subject": "Счёт на ноябрь",
        "snippet": "Добрый день! Пришлите, пожалуйста, счёт.",
        "from_name": "Мария Зуева",
    }
    address = "zueva@severles.example" if kind == "message" else "+79162001102"
    return Item(
        ItemId(number), 1, kind, number, "waiting", None, None, None, None, client_id, title, address, data, 1, at
    )


def call(now: datetime) -> CallRow:
    """A call that is being talked."""
    empty: dict[str, Any] = dict.fromkeys(CallRow.__slots__)
    about: dict[str, Any] = {
        "id": 1,
        "direction": "inbound",
        "state": "talking",
        "from_number": "+79162001102",
        "from_name": "",
    }
    times = {"started_at": now - timedelta(minutes=3), "answered_at": now - timedelta(minutes=2, seconds=8)}
    return CallRow(**empty | about | times | {"client_id": 1, "client_name": "ООО «Северный лес»", "legs": ()})


def ended_call(now: datetime) -> CallRow:
    """A call that two people talked, told by both its legs."""
    began = now - timedelta(hours=1)
    none: dict[str, Any] = dict.fromkeys(LegRow.__slots__)
    legs = (
        LegRow(**none | {"channel": "1", "number": "+79162001102", "role": "caller", "result": "answered"}),
        LegRow(**none | {"channel": "2", "extension": "101", "role": "callee", "result": "answered"}),
    )
    return replace(
        call(now),
        id=2,
        state="ended",
        outcome="answered",
        estimated=True,
        started_at=began,
        answered_at=began,
        wait_s=8.0,
        talk_s=187.0,
        answered_user_name="Анна Иванова",
        team_name="sales",
        legs=legs,
        recordings=(recording(21, began), recording(22, began, path="2026/11/24/2.mp3"), recording(23, began, "3.gsm")),
    )


def recording(number: int, at: datetime, path: str = "2026/11/24/1.wav") -> Recording:
    """Three minutes of two people who take turns; only a WAVE file has its waveform."""
    turns = (
        [abs(((n * 37) % 61) - 30) * 3 if (n // 23) % 3 else 2 for n in range(600)] if path.endswith("wav") else None
    )
    return Recording(number, 2, "office", RecordingPath(path), 1, at, 187.0, 2_992_044, turns, None)


def client() -> Client:
    """An organisation with one contact and every way to reach them."""
    own = (
        Address(1, "phone", "+74951201101", "8 (495) 120-11-01", "12", None),
        Address(2, "email", "info@severles.example", "info@severles.example", "", None),
        Address(3, "domain", "severles.example", "severles.example", "", None),
    )
    theirs = (Address(4, "phone", "+79162001102", "8-916-200-11-02", "", 1),)
    contacts = (Contact(1, "Мария Зуева", "закупки", theirs),)
    began = datetime(2026, 1, 12, tzinfo=UTC)
    return Client(1, "organisation", "ООО «Северный лес»", "Звонить до обеда.", None, began, own, contacts)


def writing(now: datetime) -> Writing:
    boxes = mailboxes()
    to = "Мария Зуева <zueva@severles.example>"
    choices = later_choices(now)
    return Writing(start=Start(), mailboxes=boxes, mailbox=boxes[0].address, to=to, choices=choices)


def mailboxes() -> list[MailboxRow]:
    return [
        MailboxRow(n, f"{name}@hub.example", name, n, "up", "", None) for n, name in enumerate(("sales", "support"), 1)
    ]


def message(now: datetime) -> MessageRow:
    """A mail with a file that came in."""
    empty: dict[str, Any] = dict.fromkeys(attributes(MessageRow))
    about: dict[str, Any] = {
        "id": 1,
        "mailbox_address": "sales@hub.example",
        "direction": "in",
        "state": "received",
        "subject": "Счёт на ноябрь",
        "from_name": "Мария Зуева",
        "from_address": "zueva@severles.example",
        "to": [{"name": "", "address": "sales@hub.example"}],
        "received_at": now - timedelta(minutes=12),
        "snippet": "Добрый день! Пришлите счёт.",
        "text": "Добрый день!\nПришлите счёт: https://severles.example/118",
        "parse_state": "ok",
        "thread_id": 1,
        "message_id": "<1@severles.example>",
        "cc": [],
        "bcc": [],
        "reply_to": [],
        "defects": [],
        "flags": [],
        "about": {},
        "auto": "none",
        "size": 4_213,
        "mailbox_id": 1,
        "client_id": 1,
        "client_name": "ООО «Северный лес»",
        "attachments": (AttachmentRow(1, 1, "договор.pdf", "application/pdf", 48_213, "", False, None),),
        "recipients": (),
    }
    return MessageRow(**empty | about)


def entries(now: datetime) -> list[Entry]:
    legs: list[dict[str, Any]] = [{"extension": None, "number": "+79162001102", "result": None}]
    legs += [{"extension": "101", "number": None, "result": "answered"}]
    one: dict[str, Any] = {
        "direction": "inbound",
        "state": "ended",
        "outcome": "answered",
        "estimated": False,
        "talk_s": 187.0,
    }
    one |= {"number": "+79162001102", "manager": "Анна Иванова", "legs": legs, "wait_s": 8.0}
    mail: dict[str, Any] = {
        "direction": "in",
        "state": "received",
        "subject": "Счёт на ноябрь",
        "from_name": "Мария Зуева",
    }
    mail |= {"from_address": "zueva@severles.example", "snippet": "Добрый день! Пришлите счёт.", "to": []}
    answer = mail | {"direction": "out", "state": "unknown", "to": [{"name": "Мария Зуева", "address": "z@x"}]}
    told: list[tuple[Any, dict[str, Any]]] = [
        ("call", one | {"state": "talking", "outcome": None}),
        ("call", one),
        ("call", one | {"outcome": "abandoned", "talk_s": 0.0, "estimated": True, "manager": None}),
        ("call", one | {"direction": "outbound", "outcome": "busy", "talk_s": 0.0}),
        ("message", mail),
        ("message", answer),
    ]
    return [Entry(n, kind, n, 1, None, now - timedelta(hours=7 * n), data) for n, (kind, data) in enumerate(told, 1)]
