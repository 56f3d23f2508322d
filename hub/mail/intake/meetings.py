"""Answers to invitations: who comes to a meeting is told on the invitation, whoever sent it.

Decides which answers are believed: those that their participant wrote, or that came in the invitation's own
conversation; the later of two, by the time they were received. An answer to one meeting of a series says nothing of
the series. Runs in the transaction that stores the messages. Invariant: from the same messages the same is shown,
whichever came first, so that doing it again changes nothing.

Source: RFC 5546 §3.2.3 (REPLY).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.audience import audience_of
from hub.mail.intake.joining import join
from hub.mail.models import mailboxes, messages
from hub.mail.reading.events import event_of, is_answer
from hub.store.changes import publish

_MEETING = ("", "REQUEST", "PUBLISH")
MOST_MESSAGES = 500
"""Messages of a mailbox that speak of the same meetings, the latest."""


async def follow(
    conn: AsyncConnection, mailbox_id: int, stored: Iterable[tuple[int, Mapping[str, Any]]], *, now: datetime
) -> None:
    """Bring the invitations up to date that these messages (ids, and what they are beside their text) speak of."""
    new = {message_id: event["uid"] for message_id, about in stored if (event := event_of(about)) and event["uid"]}
    if not new:
        return
    query = sa.select(messages).where(messages.c.mailbox_id == mailbox_id, messages.c.event_uid.in_(set(new.values())))
    query = query.order_by(messages.c.received_at.desc(), messages.c.id.desc()).limit(MOST_MESSAGES)
    rows = list(reversed((await conn.execute(query)).mappings().all()))
    for uid in sorted(set(new.values())):
        mine = [row for row in rows if row["event_uid"] == uid]
        answers = [row for row in mine if is_answer(row["about"])]
        meetings = [row for row in mine if (event_of(row["about"]) or {}).get("method") in _MEETING]
        for row in meetings:
            await _tell_answers(conn, row, answers, now=now)
        for row in answers:
            # What a person wrote beside the answer waits in a queue, as the conversation that it came as.
            is_apart = bool(meetings) and row["thread_id"] != meetings[-1]["thread_id"]
            if is_apart and _is_own(row) and row["auto"] != "none":
                await join(conn, row["id"], meetings[-1], now=now)


async def _tell_answers(
    conn: AsyncConnection, meeting: sa.RowMapping, answers: Sequence[sa.RowMapping], *, now: datetime
) -> None:
    event = event_of(meeting["about"]) or {}
    people = [dict(one) for one in event.get("attendees", ())]
    for row in answers:
        answer = event_of(row["about"]) or {}
        if answer.get("instead_of") != event.get("instead_of"):
            continue
        if not _is_own(row) and row["thread_id"] != meeting["thread_id"]:
            continue
        for one in answer.get("attendees", ()):
            if one.get("address") and one.get("status"):
                _put(people, one, at=row["received_at"])
    if people == event.get("attendees"):
        return
    about = {**meeting["about"], "event": {**event, "attendees": people}}
    await conn.execute(sa.update(messages).where(messages.c.id == meeting["id"]).values(about=about))
    query = sa.select(mailboxes.c.team_id, mailboxes.c.owner_id).where(mailboxes.c.id == meeting["mailbox_id"])
    box = (await conn.execute(query)).one()
    to = audience_of(team_id=box.team_id, owner_id=box.owner_id)
    data = {"direction": meeting["direction"], "state": meeting["state"]}
    await publish(conn, "message", meeting["id"], at=now, **to, client_id=meeting["client_id"], data=data)


def _is_own(answer: sa.RowMapping) -> bool:
    """Tell whether it is the participant's own answer, and nobody else's."""
    people = (event_of(answer["about"]) or {}).get("attendees", ())
    return [str(one.get("address", "")).lower() for one in people] == [answer["from_address"]]


def _put(people: list[dict[str, Any]], said: Mapping[str, Any], *, at: datetime) -> None:
    """Write what a participant said beside their name; who was not invited came by delegation or a forward."""
    address = str(said["address"]).lower()
    person = next((one for one in people if str(one.get("address", "")).lower() == address), None)
    if person is None:
        person = {"name": said.get("name", ""), "address": said["address"], "role": ""}
        people.append(person)
    person |= {"status": said["status"], "answered_at": at.isoformat(timespec="seconds")}
    if said.get("delegated_to"):
        person["delegated_to"] = said["delegated_to"]
