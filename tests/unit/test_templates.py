"""Every page, drawn with facts of the real types in both languages, and what holds for all of them.

A page without a name for a control, with the same id twice, or with a script or style of its own (which the policy
of the site forbids) fails here, not at a desk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import pytest

from hub.crm.access import Actor
from hub.crm.blocking import Block, caller
from hub.crm.clients import Found
from hub.crm.directory import Person, Team
from hub.crm.hours import openness
from hub.crm.leads import Lead
from hub.crm.presence import Said
from hub.crm.rules import TeamRules
from hub.errors import Refused
from hub.mail.sending.cancelling import Waiting
from hub.mail.sending.drafts import Draft, DraftFile, Start
from hub.telephony import colleagues, intents
from hub.telephony.health import PbxState
from hub.telephony.presence import Colleague
from hub.telephony.routing import Facts, Owner, Target, decide
from hub.telephony.wallboard import Board, BoardCall, Today
from hub.web import styleguide
from hub.web.assets import Assets
from hub.web.composing import Writing, later_choices
from hub.web.look import make_environment
from hub.web.pages.rules import BlockedQuery, TrialQuery
from hub.web.team_rules import Trial, form_values

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ANNA = Actor(5, "Анна Иванова", "anna@hub.test", "manager", frozenset({1}), "101", "ru")
OLGA = Actor(1, "Ольга Соколова", "olga@hub.test", "admin", frozenset(), None, "ru")
BUILT = "app.css app.js boot.js composer.js live-worker.js sprite.svg favicon.svg inter-latin-wght-normal.woff2".split()
ASSETS = Assets(Path(), {name: name for name in [*BUILT, "inter-cyrillic-wght-normal.woff2"]})
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


class Filters:
    """A query of a register in which nothing is chosen."""

    def __getattr__(self, name: str) -> None:
        return None


def _lead(number: int, **about: Any) -> Lead:
    lead = Lead(
        number, 1, "sales", "open", "new", "+79268112231", "phone", "+79268112231", None, None, None, None, 2, NOW, NOW
    )
    return replace(lead, **about)


def _intent(kind: intents.Kind, state: intents.IntentState, reason: str = "") -> intents.Intent:
    words = dict.fromkeys(("call_id", "claim_id", "channel_id", "channel", "queue", "target", "peer_channel"))
    about: dict[str, Any] = {**words, "extension": "101", "number": "+74951234567", "settled_at": None}
    return intents.Intent(
        id=9, pbx="office", kind=kind, state=state, user_id=5, created_at=NOW, deadline=NOW, reason=reason, **about
    )


SAMPLE = styleguide.facts(ANNA.user_id, NOW)
COLLEAGUES = [
    Colleague(5, "Анна Иванова", "101", "in_call", NOW, None, "in_use", (1,)),
    Colleague(6, "Борис Кузнецов", "102", "after_call", NOW, NOW + timedelta(seconds=30), "idle", (1, 2)),
    Colleague(7, "Вера Павлова", None, "free", NOW, None, "none", (2,)),
    Colleague(8, "Глеб Орлов", "104", "away", NOW, None, "unavailable", (2,)),
    Colleague(9, "Дина Ким", "105", "offline", None, None, "unknown", (2,)),
]
BOARD = Board(
    1,
    "sales",
    (
        BoardCall(1, "+79268112231", None, "waiting", NOW, None, "office", 1, None),
        BoardCall(3, "Ромашка", 1, "connecting", NOW, "Анна", "office", 1, None),
    ),
    (BoardCall(2, "ООО «Северный лес»", 1, "held", NOW, "Анна Иванова", "office", 1, 2),),
    tuple(COLLEAGUES),
    Today(NOW, 8, 7, 1, 2, 1, 20),
    ("office",),
)
MAIL = styleguide.message(NOW)
DRAFT_FILE = DraftFile(3, "смета.pdf", "application/pdf", 90_000, "0" * 64, False, None)
DRAFT = Draft(
    *(7, 1, "sales@hub.test", None, 1, "ООО «Северный лес»", None, "reply", 1),
    *("zueva@severles.example", "", "b@b.example", "Re: Счёт", "<p>Да</p>", "Да", True, 3),
    *(None, NOW, NOW, None, (DRAFT_FILE,)),
)
WRITING = Writing(
    start=Start(kind="reply", answers_id=1, client_id=1),
    mailboxes=SAMPLE["mailboxes"],
    mailbox="sales@hub.test",
    to="zueva@severles.example",
    subject="Re: Счёт",
    quoted=MAIL,
    quotes=True,
    request_id="r" * 32,
    choices=later_choices(NOW),
    begun=DRAFT,
)
OPEN_DRAFT = replace(WRITING, draft_id=7, version=3, saved_at=NOW, files=(DRAFT_FILE,), bcc="b@b.example", begun=None)
CARD = {"client": styleguide.client(), "entries": SAMPLE["entries"], "writing": WRITING, "next_cursor": "abc"}
CARD |= {"recordings": SAMPLE["recordings"]}
RULES = TeamRules(hours={"mon": (("09:00", "18:00"),)}, personal_s=15, overflow_team_id=2, overflow_s=60)
BLOCK = Block(1, "pattern", "+7900*", "робот", NOW, "Ольга Соколова")
TRIAL_FACTS = Facts(
    caller=caller("84951234567", "RU"),
    blocks=(),
    rules=RULES,
    team=Target("sales", "hub-sales"),
    client="Ромашка",
    owner=Owner("Анна", "101", "busy"),
    overflow=Target("support", "hub-support"),
    now=NOW - timedelta(days=1),
    zone=UTC,
)
PHONE = {"panel": replace(SAMPLE["panel"], told=_intent("blind", "unknown")), "parked": SAMPLE["calls"][1:]}
PAGES: dict[str, dict[str, Any]] = {
    "admin/teams.html": {
        "rows": [
            {"team": Team(1, "sales"), "rules": RULES, "now": openness(RULES.hours, (), NOW, UTC)},
            {"team": Team(2, "support"), "rules": TeamRules(), "now": openness({}, (), NOW, UTC)},
        ],
        "names": {1: "sales", 2: "support"},
    },
    "admin/rules.html": {
        "team_id": 1,
        "team_name": "sales",
        "others": [(2, "support")],
        "values": form_values(RULES),
        "days": [("mon", "Monday"), ("tue", "Tuesday")],
        "zones": ["Europe/Berlin"],
        "query": TrialQuery(number="84951234567"),
        "trial": Trial("office", TRIAL_FACTS, decide(TRIAL_FACTS)),
        "trial_error": None,
        "error": Refused("bad_hours", "mon: 'x' is not from–until", field="hours", place="mon"),
    },
    "admin/blocked.html": {
        "blocks": [BLOCK, replace(BLOCK, id=2, kind="hidden", pattern=""), replace(BLOCK, id=3, kind="number")],
        "query": BlockedQuery(test="89001234567"),
        "hit": BLOCK,
        "error": Refused("bad_pattern", "no pattern", field="pattern"),
        "typed": {"kind": "number", "pattern": "x"},
        "next_cursor": "x",
    },
    "login.html": {"next": "/", "email": "", "error": "wrong"},
    "desk.html": {
        "waiting": SAMPLE["items"][:4],
        "mine": SAMPLE["items"][4:6],
        "call": SAMPLE["call"],
        **PHONE,
        "people": COLLEAGUES,
        "teams": {1: "sales", 2: "support"},
    },
    "desk/team.html": {"people": COLLEAGUES},
    "presence/mine.html": {"said": Said("after_call", NOW, NOW + timedelta(seconds=30), NOW)},
    "wallboards.html": {"teams": [Team(1, "sales"), Team(2, "support")]},
    "wallboard.html": {"board": BOARD, "teams": [Team(1, "sales"), Team(2, "support")], "screen": False},
    "clients.html": {
        "clients": [Found(1, "person", "Татьяна Белова", "+79037001112", None, NOW)],
        "q": "бел",
        "next_cursor": "x",
    },
    "client.html": CARD,
    "compose.html": {"writing": OPEN_DRAFT},
    "compose/waiting.html": {"message": MAIL, "waiting": Waiting(NOW + timedelta(days=3), None)},
    "compose/deleted.html": {"draft_id": 7},
    "drafts.html": {
        "drafts": [DRAFT, replace(DRAFT, id=8, kind="new", subject="", to="", client_name=None)],
        "going": [(replace(DRAFT, id=9, message_id=4), NOW + timedelta(days=1))],
        "next_cursor": "x",
    },
    "client_new.html": {"values": {}, "error": None},
    "client/timeline.html": {"client_id": 1, "entries": SAMPLE["entries"], "recordings": {}, "next_cursor": None},
    "client/sent.html": {
        "back": "/clients/1",
        "message": MAIL,
        "waiting": Waiting(NOW + timedelta(seconds=10), NOW + timedelta(seconds=10)),
    },
    "call/asked.html": {"intent": _intent("dial", "sending")},
    "call/colleagues.html": {
        "call": SAMPLE["call"],
        "colleagues": [colleagues.Colleague(2, "Борис Кузнецов", "102", "free", wants_calls=True)],
        "number": "+74951234567",
        "refusal": Refused("own_number", "the company's own"),
    },
    "calls.html": {
        "calls": SAMPLE["calls"],
        "filters": Filters(),
        "teams": [Team(1, "sales")],
        "people": [Person(5, "Анна Иванова", "anna@hub.test", "manager", "101", (1,), False)],
        "next_cursor": "x",
    },
    "messages.html": {
        "messages": [MAIL, replace(MAIL, id=2, direction="out", state="unknown")],
        "filters": Filters(),
        "teams": [],
        "mailboxes": SAMPLE["mailboxes"],
        "next_cursor": None,
    },
    "message.html": {
        "message": replace(MAIL, html='<p data-remote-src="x">Счёт</p>'),
        "writing": WRITING,
    },
    "leads.html": {
        "leads": [_lead(1), _lead(2, reason="callback", client_id=1)],
        "filters": type("Q", (), {"state": "open"})(),
        "next_cursor": None,
    },
    "styleguide.html": SAMPLE,
    "pbx_states.html": {
        "down": [
            PbxState("office", "down", NOW, "cannot connect: refused"),
            PbxState("berlin", "auth_refused", NOW, "Authentication failed"),
            PbxState("ufa", "connecting", None, ""),
        ]
    },
    "error.html": {"status": 404, "code": "page_missing", "number": ""},
    "error_fragment.html": {"status": 409, "code": "already_claimed"},
    "desk/row.html": {"item": SAMPLE["items"][0], "teams": {}},
    "desk/current_call.html": {"call": None, "panel": SAMPLE["panel"], "parked": SAMPLE["calls"][:1]},
    "desk/taken.html": {"item_id": 7, "owner": "Анна Иванова", "ago_s": 2},
}


@dataclass
class Seen(HTMLParser):
    """What a browser would find in a page."""

    ids: list[str] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    unnamed: list[str] = field(default_factory=list)
    own_code: list[str] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)
    wrongly_closed: list[str] = field(default_factory=list)
    controls: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "label" and "for" in given:
            self.labels.add(given["for"])
        if tag in ("input", "select", "textarea") and given.get("type") != "hidden":
            self.controls.append(given | {"in_label": str("label" in self.open_tags)})
        if tag == "iframe" and "title" not in given:
            self.unnamed.append("iframe")
        is_own = tag == "style" or (tag == "script" and "src" not in given) or "style" in given
        if is_own or any(name.startswith(("on", "hx-on")) for name in given):
            self.own_code.append(self.get_starttag_text() or tag)
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open_tags or self.open_tags.pop() != tag:
            self.wrongly_closed.append(f"{tag} at {self.getpos()}")

    def unnamed_controls(self) -> list[str]:
        return self.unnamed + [
            one.get("name", "?")
            for one in self.controls
            if not (one.get("id") in self.labels or one["in_label"] == "True" or one.get("aria-label"))
        ]


def draw(name: str, language: str, actor: Actor, **facts: Any) -> str:
    env = make_environment(ROOT / "templates", language, ASSETS, zone=ZoneInfo("Europe/Moscow"))
    given = {"actor": actor, "lang": language, "csrf": "t", "feed": "0.1", "is_demo": True, "path": "/x", "now": NOW}
    return env.get_template(name).render(given | PAGES[name] | facts)


@pytest.mark.parametrize("actor", [ANNA, OLGA], ids=["manager", "admin"])
@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_named_and_free_of_code_of_its_own(name: str, language: str, actor: Actor) -> None:
    seen = Seen()
    seen.feed(draw(name, language, actor))
    assert seen.wrongly_closed == []
    assert seen.open_tags == []
    assert seen.own_code == []
    assert seen.unnamed_controls() == []
    assert sorted(set(seen.ids)) == sorted(seen.ids), "an id stands twice"


def test_every_template_is_drawn_by_a_page_here() -> None:
    drawn: set[str] = set()

    class Watch(jinja2.FileSystemLoader):
        def get_source(self, environment: jinja2.Environment, template: str) -> Any:
            drawn.add(template)
            return super().get_source(environment, template)

    env = make_environment(ROOT / "templates", "en", ASSETS)
    env.loader = Watch(ROOT / "templates")
    for name, facts in PAGES.items():
        given = {"actor": ANNA, "lang": "en", "csrf": "t", "feed": "", "is_demo": True, "path": "/", "now": NOW}
        env.get_template(name).render(given | facts)
    there = {path.relative_to(ROOT / "templates").as_posix() for path in ROOT.glob("templates/**/*.html")}
    assert there == drawn


def test_a_strangers_words_are_never_markup() -> None:
    evil = '"><script>alert(1)</script>'
    item = replace(SAMPLE["items"][2], title=evil, data=SAMPLE["items"][2].data | {"subject": evil, "snippet": evil})
    page = draw("desk.html", "ru", ANNA, waiting=[item])
    page += draw("client.html", "ru", ANNA, client=replace(CARD["client"], name=evil, note=evil))
    page += draw("message.html", "ru", ANNA, message=replace(MAIL, subject=evil, text=f"javascript:alert(1) {evil}"))
    assert "<script>" not in page
    assert 'href="javascript' not in page


def test_a_mail_without_markup_needs_no_frame() -> None:
    page = draw("message.html", "en", ANNA, message=MAIL)
    assert "<iframe" not in page
    assert 'href="https://severles.example/118"' in page


def test_entries_of_one_day_stand_under_its_name_with_an_id_to_know_it_by() -> None:
    page = draw("client/timeline.html", "ru", ANNA)
    assert page.count('id="day-2026-11-24"') == 1
    assert ">Сегодня</li>" in page
    assert ">Вчера</li>" in page


@pytest.mark.parametrize(
    ("ago", "ru", "en"),
    [(timedelta(seconds=50), "сейчас", "now"), (timedelta(minutes=12), "12 мин", "12 mins")],
)
def test_who_waits_without_holding_the_line_is_told_roughly(ago: timedelta, ru: str, en: str) -> None:
    item = replace(SAMPLE["items"][2], queued_at=NOW - ago)
    assert f">{ru}</time>" in draw("desk/row.html", "ru", ANNA, item=item)
    assert f">{en}</time>" in draw("desk/row.html", "en", ANNA, item=item)


def test_a_caller_is_offered_on_every_page_of_who_has_a_phone_and_on_no_other() -> None:
    assert 'class="dock"' in draw("client.html", "en", ANNA)
    assert 'class="dock"' not in draw("desk.html", "en", ANNA)
    assert 'class="dock"' not in draw("client.html", "en", OLGA)
