"""The sample company's own fields, and the sources of its clients."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristic_definitions
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.history import Edit
from hub.crm.clients.rules import update_record
from hub.crm.clients.table import CLIENTS
from hub.crm.models import clients

SOURCES_USED = ("site", "call", "recommendation", "fair")
"""Of the delivered sources of clients."""
FIELDS = (
    DefinitionInput(
        key="size",
        label={"ru": "Размер компании", "en": "Company size"},
        type="choice",
        group="Работа с клиентом",
        choices=[{"ru": "Малая", "en": "Small"}, {"ru": "Средняя", "en": "Medium"}, {"ru": "Крупная", "en": "Large"}],
    ),
    DefinitionInput(
        key="contract_since", label={"ru": "Договор с", "en": "Contract since"}, type="date", group="Работа с клиентом"
    ),
    DefinitionInput(
        key="discount",
        label={"ru": "Скидка, %", "en": "Discount, %"},
        type="number",
        group="Работа с клиентом",
        help={"ru": "Согласована с руководителем", "en": "Agreed with the head"},
    ),
)
SIZES = ("small", "medium", "large")


async def add(conn: AsyncConnection, *, now: datetime) -> None:
    """Define the fields and fill them in with every client but each fifth."""
    edit = Edit(None, "hub", now)
    for field in FIELDS:
        await characteristic_definitions.create(conn, CLIENTS, field, edit=edit)
    for client_id in (await conn.execute(sa.select(clients.c.id).order_by(clients.c.id))).scalars().all():
        if client_id % 5:
            values = {"size": SIZES[client_id % 3], "contract_since": f"2025-{client_id % 12 + 1:02}-10"}
            sent = {
                "source": SOURCES_USED[client_id % 4],
                "characteristics": values | {"discount": str(client_id % 4 * 2.5)},
            }
            await update_record(conn, client_id, CLIENTS.read(sent, is_new=False), edit=edit)
