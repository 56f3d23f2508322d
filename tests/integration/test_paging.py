"""Lists that are read by hand: pages meet without a gap, and none leads to an empty one."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa

from hub.crm.models import blocked_callers
from hub.crm.tokens import make
from hub.web.paging import cut
from hub.web.request_context import read_cursor
from tests.factories import T0, got
from tests.testbed.site import Site


class Row:
    def __init__(self, number: int) -> None:
        self.id = number


@pytest.mark.parametrize(("count", "shown", "place"), [(0, 0, None), (1, 1, None), (2, 2, None), (3, 2, 1)])
def test_a_page_has_a_cursor_only_where_another_row_follows(count: int, shown: int, place: int | None) -> None:
    page = cut([Row(number) for number in range(count)], limit=2)
    assert len(page.items) == shown
    assert (read_cursor(page.next)[1] if page.next else None) == place


async def walked(api: Any, path: str, limit: int) -> list[list[int]]:
    """Return the ids of every page of a list."""
    pages, cursor = [], ""
    while cursor is not None:
        page = await got(api, path, limit=str(limit), **({"cursor": cursor} if cursor else {}))
        pages.append([one["id"] for one in page["items"]])
        cursor = page["next"]
    return pages


async def test_no_list_of_the_api_ends_in_an_empty_page(site: Site) -> None:
    for name in ("boris", "vera", "gleb"):
        await site.person(name)
    root = await site.person("root", role="admin", team=None)
    api = await site.api("root")
    async with site.db.begin() as conn:
        for number in range(3):
            await make(conn, root.email, now=T0)
            about = {"kind": "number", "note": "", "created_at": T0, "created_by": root.user_id}
            await conn.execute(sa.insert(blocked_callers).values(pattern=f"+7900000000{number}", **about))
    for path in ("users", "tokens", "blocked"):
        whole = list(chain(*await walked(api, path, 200)))
        assert len(whole) >= 3, path
        for limit in (1, len(whole), len(whole) - 1):
            pages = await walked(api, path, limit)
            assert list(chain(*pages)) == whole, path
            assert all(pages), f"{path}: an empty page at {limit} a page"
