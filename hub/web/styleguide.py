"""Sample facts for the page that shows every component in every state: of the real types, so they cannot differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hub.crm.queue import Item, ItemId, Kind
from hub.crm.timeline import Entry
from hub.telephony.register import CallRow


def facts(user_id: int, now: datetime) -> dict[str, Any]:
    """What `styleguide.html` is given, as seen by a person."""
    return {"items": items(user_id, now), "call": call(now), "entries": entries(now), "now": now}


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
    data |= {"subject": "Счёт на ноябрь", "snippet": "Добрый день! Пришлите, пожалуйста, счёт."}
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
