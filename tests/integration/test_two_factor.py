"""The second step of a sign-in: set up on one's own page, asked after the password, required by a role, reset."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.commands import keys
from hub.crm import password_resets, totp, two_factor
from hub.crm.models import audit, recovery_codes, totp_secrets, users
from hub.store import key_rotation
from hub.store.schema import metadata
from tests.testbed.events import listening
from tests.testbed.second_step import HERE, PASSWORD, QUICK, code, codes_in, post, secret_in, vault_of, with_second_step
from tests.testbed.site import Site


async def acts(site: Site) -> list[str]:
    async with site.db.read() as conn:
        found = await conn.execute(sa.select(audit.c.action).where(audit.c.object_kind == "user").order_by(audit.c.id))
        return [action for action in found.scalars() if "two_factor" in action or "recovery" in action]


async def test_a_person_sets_it_up_by_password_and_code_and_signs_in_by_two_steps(site: Site) -> None:
    await site.person("olga", password_hash=QUICK)
    mine, other = await site.browser("olga"), await site.browser("olga")
    assert (await post(mine, f"{HERE}/begin", password="wrong password"))[0] == 400
    status, _, page = await post(mine, f"{HERE}/begin", password=PASSWORD)
    assert (status, "<svg" in page) == (200, True)
    secret = secret_in(page)
    status, _, page = await post(mine, f"{HERE}/confirm", code="000000")
    assert (status, secret_in(page)) == (400, secret), "a wrong code keeps the secret"
    status, _, page = await post(mine, f"{HERE}/confirm", code=f" {code(secret)[:3]} {code(secret)[3:]} ")
    assert (status, len(codes_in(page))) == (200, two_factor.RECOVERY_CODES)
    async with other.get("/", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/login", "sessions by a password alone have ended"
    async with mine.get(HERE) as answer:
        text = await answer.text()
        assert "qr-key" not in text and not codes_in(text), "what is secret is shown once"

    stranger = await site.browser(None)
    status, place, _ = await post(stranger, "/login", email="olga@hub.test", password=PASSWORD, next="/clients")
    assert (status, place) == (303, "/login/code")
    assert (await post(stranger, "/login/code", code=code(secret)))[0] == 401, "the code of the setting up was used"
    status, place, _ = await post(stranger, "/login/code", code=code(secret, steps=1))
    assert (status, place) == (303, "/clients")
    async with stranger.get("/clients") as answer:
        assert answer.status == 200
    assert await acts(site) == ["user.two_factor_on"]


async def test_a_recovery_code_lets_in_once_in_any_spelling(site: Site) -> None:
    _, codes = await with_second_step(site, "olga")
    for typed, status in (
        (codes[0].upper().replace("-", " ").replace("0", "O"), 303),
        (codes[0], 401),
        (codes[1], 303),
    ):
        browser = await site.browser(None)
        await post(browser, "/login", email="olga@hub.test", password=PASSWORD)
        assert (await post(browser, "/login/code", code=typed))[0] == status, typed
    async with site.db.read() as conn:
        state = await two_factor.state_of(conn, site.actors["olga"].user_id)
        hashes = set((await conn.execute(sa.select(recovery_codes.c.code_hash))).scalars())
    assert state.codes_left == two_factor.RECOVERY_CODES - 2
    assert not hashes & {one.replace("-", "") for one in codes}, "only digests are stored"


async def test_new_codes_replace_the_old_ones_and_switching_off_asks_for_the_password(site: Site) -> None:
    _, old = await with_second_step(site, "olga")
    browser = await site.browser("olga")
    assert (await post(browser, f"{HERE}/codes", password="wrong password"))[0] == 400
    new = codes_in((await post(browser, f"{HERE}/codes", password=PASSWORD))[2])
    assert len(set(new) | set(old)) == 2 * two_factor.RECOVERY_CODES
    async with site.db.begin() as conn:
        user_id = site.actors["olga"].user_id
        assert not await two_factor.accept(conn, vault_of(site), user_id, old[0], now=utc_now())
    assert (await post(browser, f"{HERE}/off", password="wrong password"))[0] == 400
    assert (await post(browser, f"{HERE}/off", password=PASSWORD))[:2] == (303, HERE)
    assert (await post(await site.browser(None), "/login", email="olga@hub.test", password=PASSWORD))[1] == "/desk"
    async with site.db.read() as conn:
        for table in (totp_secrets, recovery_codes):
            assert (await conn.execute(sa.select(table))).first() is None


async def test_a_role_that_requires_it_leads_to_the_setting_up_and_to_nothing_else(site: Site) -> None:
    await site.person("olga", password_hash=QUICK)
    await site.person("chief", role="admin", team=None)
    olga, admin, api = await site.browser("olga"), await site.api("chief"), await site.api("olga")
    role = site.actors["olga"].role_id
    async with listening(olga, "/live") as pages:
        async with admin.patch(f"roles/{role}", json={"requires_two_factor": True, "version": 1}) as answer:
            assert answer.status == 200, await answer.text()
        with pytest.raises(EOFError):
            await pages.until("nothing that is ever told", deadline_s=5)
    for path in ("/", "/desk", "/clients", "/me/sign-ins", "/help", "/palette"):
        async with olga.get(path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, HERE), path
    async with olga.get("/live") as answer:
        assert answer.status == 401
    async with olga.get("/nowhere") as answer:
        assert (answer.status, "Olga" in await answer.text()) == (404, False)
    for path in (f"{HERE}/off", f"{HERE}/codes", "/me/signature"):
        assert (await post(olga, path, password=PASSWORD))[:2] == (303, HERE)
    async with api.get("clients") as answer:
        assert answer.status == 200, "a token needs no second step"
    async with olga.get(HERE) as answer:
        text = await answer.text()
        assert (answer.status, 'href="/desk"' in text) == (200, False)
    secret = secret_in((await post(olga, f"{HERE}/begin", password=PASSWORD))[2])
    status, _, page = await post(olga, f"{HERE}/confirm", code=code(secret))
    assert (status, len(codes_in(page))) == (200, two_factor.RECOVERY_CODES)
    async with olga.get("/desk") as answer:
        assert answer.status == 200
    status, _, page = await post(olga, f"{HERE}/off", password=PASSWORD)
    assert (status, "Your role requires two-step sign-in." in page) == (400, True)


async def test_the_administrators_role_may_require_it_and_change_nothing_else(site: Site) -> None:
    chief = await site.person("chief", role="admin", team=None)
    api = await site.api("chief")
    async with api.patch(f"roles/{chief.role_id}", json={"requires_two_factor": True, "pages": []}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (403, "fixed_role")
    async with api.patch(f"roles/{chief.role_id}", json={"requires_two_factor": True}) as answer:
        assert (answer.status, (await answer.json())["requires_two_factor"]) == (200, True)
    browser = await site.browser("chief")
    async with browser.get("/calls", allow_redirects=False) as answer:
        assert answer.headers["Location"].startswith(HERE)


async def test_an_administrator_resets_it_for_others_and_not_for_themselves(site: Site) -> None:
    await with_second_step(site, "olga")
    await site.person("chief", role="admin", team=None)
    await with_second_step(site, "chief")
    admin, api = await site.browser("chief"), await site.api("chief")
    olga, chief = site.actors["olga"].user_id, site.actors["chief"].user_id
    async with api.get(f"users/{olga}") as answer:
        assert (await answer.json())["two_factor_at"] is not None
    async with admin.get(f"/users/{olga}") as answer:
        assert "Reset two-step sign-in" in await answer.text()
    async with api.post(f"users/{chief}/two-factor/reset") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "two_factor_own")
    async with (await site.api("olga")).post(f"users/{chief}/two-factor/reset") as answer:
        assert answer.status == 403
    assert (await post(admin, f"/users/{olga}/two-factor/reset"))[:2] == (303, f"/users/{olga}")
    assert (await post(await site.browser(None), "/login", email="olga@hub.test", password=PASSWORD))[1] == "/desk"
    assert (await acts(site))[-1] == "user.two_factor_reset"


async def test_the_secret_is_sealed_and_rotated_with_every_other(site: Site) -> None:
    secret, _ = await with_second_step(site, "olga")
    vault, user_id = vault_of(site), site.actors["olga"].user_id
    (old,) = vault.ring().keys
    async with site.db.read() as conn:
        row = (await conn.execute(sa.select(totp_secrets))).one()
    assert secret not in row.sealed and totp.written(secret).encode() not in row.sealed
    await key_rotation.rotate(site.db, vault, keys.SEALED)
    assert old not in vault.ring().keys
    async with site.db.begin() as conn:
        assert await two_factor.accept(conn, vault, user_id, code(secret, steps=1), now=utc_now())


def test_every_table_with_sealed_rows_is_rotated() -> None:
    sealed = {name for name, table in metadata.tables.items() if "sealed" in table.c}
    assert sealed == {one.table.name for one in keys.SEALED}


async def test_a_new_password_by_a_link_still_asks_for_the_second_step(site: Site) -> None:
    await with_second_step(site, "olga")
    async with site.db.begin() as conn:
        token = await password_resets.make(conn, site.actors["olga"].user_id, by=None, now=utc_now())
    browser = await site.browser(None)
    status, place, _ = await post(browser, "/reset", token=token, password="another horse, another battery")
    assert (status, place) == (303, "/login/code")
    assert "hub_session" not in {one.key for one in browser.cookie_jar}


async def test_a_list_of_people_tells_who_has_no_second_step(site: Site) -> None:
    await with_second_step(site, "olga")
    await site.person("pavel")
    await site.person("chief", role="admin", team=None)
    api = await site.api("chief")
    where = '{"field": "two_factor_at", "op": "is_empty"}'
    async with api.get("users", params={"where": where}) as answer:
        assert [one["name"] for one in (await answer.json())["items"]] == ["Chief", "Pavel"]
    async with site.db.read() as conn:
        assert (await conn.execute(sa.select(users.c.version))).scalars().all() == [1, 1, 1], "no edit of the record"
