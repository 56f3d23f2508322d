"""Who may ask what of a call over the API and the page, how often one may dial, and whose call a person says it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import presence
from hub.crm.models import audit, phones, user_privileges, users
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.control import intents
from hub.telephony.models import call_intents
from hub.telephony.tracking.calls import Announced, Call, CallChanged, CallEnded, Channel, Leg
from tests.factories import got
from tests.testbed import talk
from tests.testbed.site import SETTINGS, Site, running_site

pytestmark = pytest.mark.either_database

OUTBOUND = Call(
    pbx="office",
    boot="b1",
    linked_id="hub-0123456789abcdef",
    direction="outbound",
    state="connecting",
    started_at=utc_now(),
    from_raw="101",
    from_extension="101",
    to_raw="+74951230000",
    legs=(Leg(Channel("PJSIP/101-1"), "hub-0123456789abcdef", "101", None, "caller"),),
)
SMALL = msgspec.structs.replace(
    SETTINGS,
    hub=msgspec.structs.replace(SETTINGS.hub, dial_per_user_per_min=3, dial_per_min=5),
    pbx=(msgspec.structs.replace(SETTINGS.pbx[0], dial_countries=("RU",)),),
)


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs, settings=SMALL) as running:
        for name, extension in (("olga", "101"), ("pavel", "102"), ("vera", "103")):
            await running.person(name, extension=extension)
        await running.person("chief", team="support", extension="110")
        await running.person("root", team=None, role="admin", extension="111")
        yield running


async def post(api: aiohttp.ClientSession, path: str, key: str = "", **body: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": key} if key else {}
    async with api.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def code(api: aiohttp.ClientSession, path: str, **body: Any) -> tuple[int, str]:
    status, answer = await post(api, path, **body)
    return status, answer["error"]["code"] if "error" in answer else ""


async def asked(site: Site) -> list[Any]:
    async with site.db.read() as conn:
        return list((await conn.execute(sa.select(call_intents).order_by(call_intents.c.id))).all())


async def settle(site: Site, intent_id: int, state: intents.IntentState = "sent", reason: str = "") -> None:
    """What the sender does once Asterisk has answered."""
    async with site.db.begin() as conn:
        await intents.settle(conn, intent_id, state, reason=reason, now=utc_now())


async def speaking(site: Site, extension: str = "101", **about: Any) -> tuple[int, Call]:
    call_id, _, waiting = await talk.waiting_call(site.db, **about)
    return call_id, await talk.talking(site.db, waiting, extension=extension)


async def grant(site: Site, name: str) -> None:
    async with site.db.begin() as conn:
        values = {"user_id": site.actors[name].user_id, "privilege": "supervise"}
        await conn.execute(user_privileges.insert().values(**values))


async def gone(site: Site, call: Call, extension: str) -> Call:
    """Have this phone leave the call."""
    at = utc_now()
    legs = tuple(replace(one, left_at=at) if one.extension == extension else one for one in call.legs)
    left = replace(call, legs=legs)
    await talk.changed(site.db, left)
    return left


DEEDS = ("hold", "unhold", "park")


async def test_only_whose_phone_is_in_the_call_may_hand_it_on_or_an_administrator(site: Site) -> None:
    call_id, call = await speaking(site)
    pavel, root, olga = await site.api("pavel"), await site.api("root"), await site.api("olga")
    for deed in DEEDS:
        assert await code(pavel, f"calls/{call_id}/{deed}") == (403, "not_your_call")
    for kind in ("blind", "attended", "complete", "cancel"):
        assert await code(pavel, f"calls/{call_id}/transfer", kind=kind, to="103") == (403, "not_your_call")
    assert await asked(site) == []
    assert (await post(olga, f"calls/{call_id}/transfer", to=site.actors["pavel"].user_id))[0] == 202
    assert (await post(root, f"calls/{call_id}/transfer", to="103"))[0] == 202
    mine, hers = await asked(site)
    assert (mine.kind, mine.target, mine.channel, mine.extension) == ("blind", "102", call.legs[1].channel, "101")
    assert (hers.target, hers.channel) == ("103", mine.channel), "an administrator acts on the manager's line"
    async with site.db.read() as conn:
        rows = (await conn.execute(sa.select(audit).where(audit.c.action == "call.handed_on"))).all()
    assert [(row.user_id, row.object_id) for row in rows] == [
        (site.actors[name].user_id, call_id) for name in ("olga", "root")
    ]


async def test_a_transfer_goes_to_a_colleague_or_an_allowed_number_and_nowhere_else(site: Site) -> None:
    call_id, _ = await speaking(site)
    olga = await site.api("olga")
    path = f"calls/{call_id}/transfer"
    for to, refusal in (
        ("101", "already_there"),
        ("102&103", "bad_number"),
        ("102,1", "bad_number"),
        ("PJSIP/102", "bad_number"),
        ("102\r\nAction: Command", "bad_number"),
        ("Nobody", "no_such_colleague"),
        (9999, "no_such_colleague"),
        ("+442079460000", "country_not_allowed"),
        ("8 809 505 12 34", "bad_number"),
    ):
        status, told = await code(olga, path, to=to)
        assert (status in (400, 403, 409), told in (refusal, "costly_number")) == (True, True), (to, told)
    assert (await code(olga, path))[1] == "no_target"
    assert (await code(olga, path, kind="sideways", to="102"))[0] == 400
    assert await asked(site) == []
    assert (await post(olga, path, to="pavel"))[0] == 202
    assert (await post(olga, path, to="8 495 123-00-00"))[0] == 202
    assert [(one.target, one.number) for one in await asked(site)] == [("102", None), (None, "+74951230000")]


async def test_who_is_not_to_be_disturbed_is_handed_no_call_and_the_search_says_so(site: Site) -> None:
    call_id, _ = await speaking(site)
    async with site.db.begin() as conn:
        await presence.arrive(conn, site.actors["vera"].user_id, now=utc_now())
        await presence.say(conn, site.actors["pavel"].user_id, "dnd", now=utc_now())
        await presence.say(conn, site.actors["chief"].user_id, "away", now=utc_now())
    olga, browser = await site.api("olga"), await site.browser("olga")
    for to in ("102", "pavel", site.actors["pavel"].user_id):
        assert await code(olga, f"calls/{call_id}/transfer", to=to) == (400, "colleague_dnd")
    await speaking(site, "102")
    assert await code(olga, f"calls/{call_id}/transfer", to="102", kind="attended") == (400, "colleague_dnd")
    form = {"kind": "blind", "user": str(site.actors["pavel"].user_id), "request_id": "abcdefgh"}
    async with browser.post(f"/calls/{call_id}/transfer", data=form, headers={"HX-Request": "true"}) as answer:
        assert "does not want to be disturbed now" in await answer.text()
    assert await asked(site) == []
    for name, shown, is_offered in (("pavel", "dnd", False), ("vera", "free", True), ("chief", "away", True)):
        async with browser.get(f"/calls/{call_id}/colleagues", params={"q": name}) as answer:
            text = await answer.text()
        assert (f"presence--{shown}" in text, "hx-post" in text) == (True, is_offered), name
    assert (await post(olga, f"calls/{call_id}/transfer", to="110"))[0] == 202


async def test_an_attended_transfer_is_asked_once_and_ended_once(site: Site) -> None:
    call_id, call = await speaking(site)
    olga = await site.api("olga")
    path = f"calls/{call_id}/transfer"
    assert await code(olga, path, kind="complete") == (409, "not_consulting")
    first = await post(olga, path, key="click", to="102", kind="attended")
    assert first == await post(olga, path, key="click", to="102", kind="attended")
    await settle(site, first[1]["intent"])
    assert await code(olga, path, to="103", kind="attended") == (409, "already_asked")
    assert await code(olga, path, to="103") == (409, "already_asked")
    assert (await post(olga, path, kind="cancel"))[0] == 202
    assert await code(olga, path, kind="complete") == (409, "not_consulting")
    # Asked again, refused by the PBX: nobody is asked, so there is nothing to complete.
    status, answer = await post(olga, path, to="102", kind="attended")
    assert status == 202
    await settle(site, answer["intent"], "refused", "No attended transfer feature code found")
    assert await code(olga, path, kind="complete") == (409, "not_consulting")
    shown = await got(olga, f"call-intents/{answer['intent']}")
    assert (shown["kind"], shown["state"], shown["reason"]) == (
        "attended",
        "refused",
        "No attended transfer feature code found",
    )
    await gone(site, call, "101")
    assert await code(olga, path, to="102") == (403, "not_your_call")


async def test_hold_needs_two_and_park_frees_the_phone_for_one_who_takes_it_up(site: Site) -> None:
    call_id, call = await speaking(site)
    olga, pavel, vera, chief = [await site.api(name) for name in ("olga", "pavel", "vera", "chief")]
    assert await code(olga, f"calls/{call_id}/unhold") == (409, "not_held")
    status, answer = await post(olga, f"calls/{call_id}/hold")
    assert status == 202
    await settle(site, answer["intent"])
    assert await code(olga, f"calls/{call_id}/park") == (409, "call_held")
    assert await code(olga, f"calls/{call_id}/transfer", to="102") == (409, "call_held")
    assert (await post(olga, f"calls/{call_id}/unhold"))[0] == 202
    assert await code(pavel, f"calls/{call_id}/retrieve") == (409, "not_parked")
    status, answer = await post(olga, f"calls/{call_id}/park")
    assert status == 202
    await settle(site, answer["intent"])
    assert (await got(pavel, "parked-calls"))["items"] == [], "her phone is still on the line"
    await gone(site, call, "101")
    assert [one["id"] for one in (await got(pavel, "parked-calls"))["items"]] == [call_id]
    assert (await got(chief, "parked-calls"))["items"] == []
    assert (await code(chief, f"calls/{call_id}/retrieve"))[0] == 404
    first = await post(pavel, f"calls/{call_id}/retrieve")
    assert first[0] == 202
    assert await post(pavel, f"calls/{call_id}/retrieve") == first, "one ring, however often he clicks"
    assert await code(vera, f"calls/{call_id}/retrieve") == (409, "being_retrieved")
    taken = (await asked(site))[-1]
    assert (taken.kind, taken.extension, taken.peer_channel) == ("retrieve", "102", call.legs[0].channel)
    # His phone did not answer: after a while it is anybody's again.
    async with site.db.begin() as conn:
        late = utc_now() - timedelta(minutes=1)
        await conn.execute(sa.update(call_intents).where(call_intents.c.id == taken.id).values(created_at=late))
    assert (await post(vera, f"calls/{call_id}/retrieve"))[0] == 202


async def test_supervision_is_a_privilege_within_ones_teams_and_leaves_a_trace(site: Site) -> None:
    call_id, call = await speaking(site)
    olga, pavel, chief = await site.api("olga"), await site.api("pavel"), await site.api("chief")
    root = await site.api("root")
    for how in ("listen", "whisper", "barge"):
        assert await code(pavel, f"calls/{call_id}/{how}") == (403, "privilege_missing")
    for name in ("pavel", "chief", "olga"):
        await grant(site, name)
    assert (await code(chief, f"calls/{call_id}/listen"))[0] == 404, "another team's call"
    assert await code(olga, f"calls/{call_id}/listen") == (409, "your_own_call")
    assert (await post(pavel, f"calls/{call_id}/listen", key="one"))[0] == 202
    assert (await post(pavel, f"calls/{call_id}/listen", key="one"))[0] == 202
    assert (await post(root, f"calls/{call_id}/barge"))[0] == 202
    heard, joined = await asked(site)
    assert (heard.kind, heard.extension, heard.channel) == ("listen", "102", call.legs[1].channel)
    assert heard.channel_id.startswith("hubspy-"), "so that the tracker makes no call of it"
    assert (joined.kind, joined.extension) == ("barge", "111")
    async with site.db.read() as conn:
        query = sa.select(audit).where(audit.c.action.in_(("call.listened", "call.joined"))).order_by(audit.c.id)
        rows = (await conn.execute(query)).all()
    assert [(row.action, row.user_id, row.object_id) for row in rows] == [
        ("call.listened", site.actors["pavel"].user_id, call_id),
        ("call.joined", site.actors["root"].user_id, call_id),
    ]
    waiting_id, _, _ = await talk.waiting_call(site.db, number="89031112233")
    assert await code(pavel, f"calls/{waiting_id}/listen") == (409, "not_talking")


async def test_a_client_whose_team_is_another_is_not_heard_though_their_card_is_open(site: Site) -> None:
    chief = await site.api("chief")
    async with chief.post("clients", json={"name": "Ромашка", "phones": ["84951234567"]}) as answer:
        assert answer.status == 201
    call_id, _ = await speaking(site)
    await grant(site, "chief")
    assert (await got(chief, f"calls/{call_id}"))["client"]["name"] == "Ромашка"
    assert await code(chief, f"calls/{call_id}/listen") == (403, "other_team")
    assert await code(chief, f"calls/{call_id}/retrieve") == (409, "not_parked")


async def test_clicks_are_counted_per_person_and_for_the_house(site: Site) -> None:
    olga, pavel = await site.api("olga"), await site.api("pavel")
    for n in range(3):
        assert (await post(olga, "calls", to=f"8495123450{n}", key=f"k{n}"))[0] == 202
    async with olga.post("calls", json={"to": "84951234509"}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    assert (await post(olga, "calls", to="84951234500", key="k0"))[0] == 202, "the same click is no new call"
    for n in range(2):
        assert (await post(pavel, "calls", to=f"8495123451{n}"))[0] == 202
    assert await code(pavel, "calls", to="84951234519") == (429, "dial_limit")
    call_id, _ = await speaking(site, "102")
    assert await code(pavel, f"calls/{call_id}/transfer", to="84951234519") == (429, "dial_limit")
    assert (await post(pavel, f"calls/{call_id}/transfer", to="103"))[0] == 202, "a colleague costs nothing"
    assert len(await asked(site)) == 6


async def test_numbers_abroad_and_premium_ones_are_refused_to_the_click(site: Site) -> None:
    olga = await site.api("olga")
    for to, refusal in (("+442079460000", "country_not_allowed"), ("+44 909 879 0000", "costly_number")):
        assert await code(olga, "calls", to=to) == (403, refusal)


async def test_a_click_calls_a_colleague_an_extension_behind_a_number_or_says_why_not(site: Site) -> None:
    olga, browser = await site.api("olga"), await site.browser("olga")
    for to, refusal in (
        ("112", (403, "emergency_number")),
        ("104", (403, "emergency_number")),
        ("150", (400, "bad_number")),
        ("101", (400, "own_extension")),
        ("1-800-FLOWERS", (400, "letters_in_number")),
    ):
        assert await code(olga, "calls", to=to) == refusal, to
    assert await asked(site) == []
    assert (await post(olga, "calls", to="102"))[0] == 202
    assert (await post(olga, "calls", to="8 495 123-00-00 доб. 12"))[0] == 202
    form = {"user": str(site.actors["vera"].user_id), "request_id": "abcdefgh"}
    async with browser.post("/call", data=form, headers={"HX-Request": "true"}) as answer:
        assert "Your phone rings first" in await answer.text()
    assert [(one.target, one.number, one.keys) for one in await asked(site)] == [
        ("102", None, None),
        (None, "+74951230000", "12"),
        ("103", None, None),
    ]
    async with browser.post("/call", data={"to": "01", "request_id": "bcdefghi"}) as answer:
        assert "emergency number" in await answer.text()


async def test_an_extension_is_not_dropped_from_a_transfer_and_colleagues_have_call_buttons(site: Site) -> None:
    call_id, _ = await speaking(site)
    olga, browser = await site.api("olga"), await site.browser("olga")
    refused = await code(olga, f"calls/{call_id}/transfer", to="8 495 123-00-00 доб. 12")
    assert refused == (400, "extension_not_here")
    async with browser.get(f"/calls/{call_id}/colleagues", params={"q": "84951230000 доб. 12"}) as answer:
        assert "An extension cannot be dialled here" in await answer.text()
    async with browser.get("/desk/team") as answer:
        page = await answer.text()
    assert f"&#34;user&#34;: {site.actors['pavel'].user_id}" in page
    assert f"&#34;user&#34;: {site.actors['olga'].user_id}" not in page, "nobody calls themselves"


async def test_a_colleagues_extension_in_the_list_of_calls_is_a_call_button(site: Site) -> None:
    inside = replace(
        OUTBOUND, linked_id="1.1", direction="internal", state="ended", ended_at=utc_now(), outcome="missed",
        from_raw="102", from_extension="102", to_raw="103", to_extension="103",
    )  # fmt: skip
    await (await talk.intake(site.db, "sales")).store([CallChanged(inside), CallEnded(inside)], now=utc_now())
    async with (await site.browser("root")).get("/calls") as answer:
        assert "&#34;to&#34;: &#34;102&#34;" in await answer.text()


async def test_why_a_dial_reached_nobody_is_said_on_the_page_and_in_the_call(site: Site) -> None:
    olga, browser = await site.api("olga"), await site.browser("olga")
    _, told = await post(olga, "calls", to="8 495 123-00-00")
    await settle(site, told["intent"])
    (intent,) = await asked(site)
    page = f"/call-intents/{told['intent']}"
    async with browser.get(page) as answer:
        assert "data-live" in await answer.text(), "the page listens on: the reason comes after the answer"
    call = replace(OUTBOUND, dial_id=intent.channel_id)
    over = Announced(call, "HubDialOver", {"Dial": intent.channel_id, "Reason": "CHANUNAVAIL", "Cause": "20"})
    ended = replace(call, state="ended", outcome="failed", ended_at=utc_now())
    intake = await talk.intake(site.db, "sales")
    await intake.store([CallChanged(call), over, CallEnded(ended)], now=utc_now())
    async with browser.get(page) as answer:
        assert "The line to the outside does not work now." in await answer.text()
    shown = (await got(olga, "calls", to="84951230000"))["items"][0]
    assert (shown["outcome"], shown["failure"]) == ("failed", "trunk_down")
    assert (await got(olga, f"call-intents/{told['intent']}"))["reason"] == "trunk_down"
    async with (await site.browser("root")).get("/calls") as answer:
        assert "The line to the outside does not work now." in await answer.text()


async def test_a_phone_of_its_own_on_a_pbx_is_the_one_that_rings(site: Site) -> None:
    async with site.db.begin() as conn:
        user_id = site.actors["olga"].user_id
        await conn.execute(phones.insert().values(pbx="office", extension="777", user_id=user_id))
        await conn.execute(sa.update(users).where(users.c.id == user_id).values(extension=None))
    olga = await site.api("olga")
    assert (await post(olga, "calls", to="84951234567"))[0] == 202
    assert [one.extension for one in await asked(site)] == ["777"]
    call_id, _ = await speaking(site, "777")
    assert (await post(olga, f"calls/{call_id}/hold"))[0] == 202


async def test_a_person_says_whose_call_it_is_and_nothing_changes_that_later(site: Site) -> None:
    olga = await site.api("olga")
    made = {}
    for name, numbers in (("Ромашка", []), ("Лютик", ["84951234567"])):
        async with olga.post("clients", json={"name": name, "phones": numbers}) as answer:
            made[name] = (await answer.json())["id"]
    call_id, call = await speaking(site)
    assert (await got(olga, f"calls/{call_id}"))["client"]["name"] == "Лютик"
    status, linked = await post(olga, f"calls/{call_id}/link", client=made["Ромашка"])
    assert (status, linked["client"]["name"]) == (200, "Ромашка")
    assert linked["link"] == {"reason": "manual", "confidence": "exact", "manual": True}
    await talk.answered(site.db, call, extension="101")
    shown = await got(olga, f"calls/{call_id}")
    assert (shown["state"], shown["client"]["name"]) == ("ended", "Ромашка")
    for name, entries in (("Ромашка", [call_id]), ("Лютик", [])):
        page = await got(olga, f"clients/{made[name]}/timeline")
        assert [one["ref"] for one in page["items"]] == entries, name
    status, linked = await post(olga, f"calls/{call_id}/link")
    assert (status, linked["client"], linked["link"]["manual"]) == (200, None, True)
    assert (await code(olga, f"calls/{call_id}/link", client=99999))[0] == 404
    async with site.db.read() as conn:
        rows = (await conn.execute(sa.select(audit.c.details).where(audit.c.action == "call.linked"))).scalars().all()
    assert [row["client"] for row in rows] == [made["Ромашка"], None]


async def test_the_pages_buttons_do_what_they_say_and_tell_how_it_went(site: Site) -> None:
    browser = await site.browser("olga")
    form = {"to": "84951234567", "request_id": "12345678"}
    fragment = {"HX-Request": "true"}
    for _double_click in range(2):
        async with browser.post("/call", data=form, headers=fragment) as answer:
            assert answer.status == 200
            assert "Your phone rings first" in await answer.text()
    (dialled,) = await asked(site)
    for state, reason, words in (
        ("refused", "too_late", "nothing was done"),
        ("refused", "PBX office is not connected", "PBX office is not connected"),
        ("unknown", "", "not known whether the call went out"),
    ):
        async with site.db.begin() as conn:
            # What is settled stays so: each of these is the first word of it.
            await conn.execute(sa.update(call_intents).where(call_intents.c.id == dialled.id).values(state="sending"))
        await settle(site, dialled.id, state, reason)  # type: ignore[arg-type]
        async with browser.get(f"/call-intents/{dialled.id}", headers=fragment) as answer:
            text = await answer.text()
        assert words in text
        assert "hx-get" not in text, "what is over is not asked for again"
    call_id, _ = await speaking(site)
    async with browser.get(f"/calls/{call_id}/colleagues", params={"q": "pav"}) as answer:
        text = await answer.text()
    assert "Pavel" in text
    assert "Vera" not in text
    async with browser.get(f"/calls/{call_id}/colleagues", params={"q": "8 495 123-00-00"}) as answer:
        assert "+7 495 123-00-00" in await answer.text()
    transfer = {"kind": "attended", "user": str(site.actors["pavel"].user_id), "request_id": "abcdefgh"}
    async with browser.post(f"/calls/{call_id}/transfer", data=transfer, headers=fragment) as answer:
        assert answer.status == 204
    async with browser.get("/desk/call") as answer:
        panel = await answer.text()
    assert "You are asking: Pavel, 102" in panel
    assert "Connect them" in panel
    assert 'data-call-key="transfer"' not in panel
