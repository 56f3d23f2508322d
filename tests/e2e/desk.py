"""The people, the office and the registers that the end-to-end tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hub.settings import Pbx
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.hub import Hub, running_hub
from tests.testbed.waiting import wait_for

ANNA, BORIS, ADMIN = "anna@hub.test", "boris@hub.test", "admin@hub.test"


def pbx_toml(pbx: Pbx) -> str:
    """The configuration of one PBX, as an operator writes it."""
    teams = "".join(f'[[pbx.team]]\nqueue = "{t.queue}"\nteam = "{t.team}"\n' for t in pbx.team)
    return (
        f'[[pbx]]\nname = "{pbx.name}"\nhost = "{pbx.host}"\nport = {pbx.port}\nusername = "{pbx.username}"\n'
        f'secret = "{pbx.secret.reveal()}"\nown_numbers = ["+74950000100"]\n{teams}'
    )


async def staff(hub: Hub) -> None:
    await hub.add_user(ANNA, "Анна Иванова", "manager", ["sales"], "101")
    await hub.add_user(BORIS, "Борис Кузнецов", "manager", ["sales"], "102")
    await hub.add_user(ADMIN, "Ольга Соколова", "admin")


@asynccontextmanager
async def office(folder: Path, *, ring_s: int = 4, wait_s: int = 120) -> AsyncIterator[tuple[Asterisk, Hub]]:
    """Asterisk, and Hub on it with two managers and an administrator."""
    async with (
        running_asterisk(ring_s=ring_s, wait_s=wait_s) as asterisk,
        running_hub(folder, pbx_toml(asterisk.pbx_settings())) as hub,
    ):
        await staff(hub)
        for who in (ANNA, BORIS, ADMIN):
            # Made now, since making one takes a second that a caller would not wait.
            await hub.token(who)
        await hub.start()
        yield asterisk, hub


async def listed(hub: Hub, who: str, path: str) -> list[dict[str, Any]]:
    status, answer = await hub.api(who, "GET", path)
    assert status == 200, answer
    assert isinstance(answer, dict)
    return list(answer["items"])


async def one_waiting(hub: Hub, who: str, *, kind: str = "call") -> dict[str, Any]:
    async def found() -> list[dict[str, Any]]:
        return [i for i in await listed(hub, who, "/queue") if i["kind"] == kind and i["state"] == "waiting"]

    (item,) = await wait_for(found, what=f"one {kind} waits for {who}", deadline_s=10)
    return item


async def the_call(hub: Hub, **wanted: Any) -> dict[str, Any]:
    """The one call of the register, once it has these values."""

    async def found() -> list[dict[str, Any]]:
        return [c for c in await listed(hub, ADMIN, "/calls") if wanted.items() <= c.items()]

    (call,) = await wait_for(found, what=f"a call with {wanted}", deadline_s=20)
    return call


async def make_client(hub: Hub, name: str, phone: str) -> int:
    body = {"kind": "organisation", "name": name, "phones": [phone]}
    status, answer = await hub.api(ADMIN, "POST", "/clients", json=body)
    assert status == 201, answer
    assert isinstance(answer, dict)
    return int(answer["id"])
