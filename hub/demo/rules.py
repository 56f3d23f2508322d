"""Sample call rules of the demo's teams. The scripted PBX asks nobody: its calls come in at every hour."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import blocking, people, rules
from hub.crm.access import load_actor
from hub.crm.base.history import Edit
from hub.crm.clients import ClientInput
from hub.crm.clients.rules import update_record
from hub.crm.hours import Holiday, Shift
from hub.crm.models import clients, users
from hub.crm.rules import TeamRules

_WORKDAYS: dict[str, tuple[Shift, ...]] = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), (("09:00", "18:00"),))


async def add(conn: AsyncConnection, *, now: datetime) -> None:
    """Give the teams rules, the clients managers of their own, and block a few callers."""
    admin = await load_actor(
        conn, (await conn.execute(sa.select(users.c.id).where(users.c.role == "admin"))).scalars().one()
    )
    assert admin is not None
    ids = {name: team_id for team_id, name in (await people.team_names(conn)).items()}
    year = now.year + 1
    holidays = (
        Holiday(date=f"{now.year}-12-31", name="короткий день", hours=(("09:00", "15:00"),)),
        *(Holiday(date=f"{year}-01-{day:02}", name="Новогодние каникулы") for day in range(1, 9)),
        Holiday(date=f"{year}-05-09", name="День Победы"),
    )
    sales = TeamRules(
        time_zone="Europe/Moscow",
        hours=_WORKDAYS | {"sat": (("10:00", "14:00"),)},
        holidays=holidays,
        personal_s=15,
        overflow_team_id=ids["support"],
        overflow_s=60,
        when_closed="voicemail",
        when_tired="callback",
        record_calls=True,
        keep_recordings_days=180,
        after_call_s=30,
    )
    await rules.save(conn, admin, ids["sales"], sales, now=now)
    managers = (
        await conn.execute(sa.select(users.c.id).where(users.c.role == "manager").order_by(users.c.id))
    ).scalars()
    for n, manager_id in enumerate(list(managers)[:2]):
        of_every_other = sa.select(clients.c.id).where(clients.c.id % 2 == n)
        for client_id in (await conn.execute(of_every_other)).scalars().all():
            given = ClientInput(manager=manager_id)
            await update_record(conn, client_id, given, edit=Edit(None, "hub", now))
    await rules.save(conn, admin, ids["support"], TeamRules(time_zone="Europe/Moscow"), now=now)
    for kind, text, note in (
        ("number", "8 495 300-99-01", "Опросы, звонят каждый день"),
        ("pattern", "+7958*", "Обзвоны роботом"),
    ):
        await blocking.block(conn, admin, kind=kind, text=text, note=note, region="RU", now=now)  # type: ignore[arg-type]
