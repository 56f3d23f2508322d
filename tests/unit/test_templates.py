"""Every page, drawn with facts of the real types in both languages, and what holds for all of them.

A page without a name for a control, with the same id twice, or with a script or style of its own (which the policy
of the site forbids) fails here, not at a desk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import jinja2
import pytest
from markupsafe import Markup

from hub.crm.access import Actor
from hub.crm.audit.table import AUDIT, AuditRow
from hub.crm.base import registry
from hub.crm.base.characteristics import Definition
from hub.crm.base.conditions.tree import All
from hub.crm.base.dictionaries import Value
from hub.crm.base.dictionary_uses import KnownDictionary
from hub.crm.base.history import Entry
from hub.crm.base.labels import Problem
from hub.crm.base.operations import Operation, Result
from hub.crm.base.reasons import CHANGED_SINCE, Reason
from hub.crm.base.records import Count
from hub.crm.base.views import View
from hub.crm.blocking import Block, caller
from hub.crm.clients import CLIENTS, Found
from hub.crm.clients.addresses import AddressValue
from hub.crm.clients.group import Company, Group
from hub.crm.contacts import CONTACTS, ContactRow
from hub.crm.directory import DirectoryEntry, Team
from hub.crm.hours import openness
from hub.crm.leads import LEADS, Lead
from hub.crm.linking import Candidate
from hub.crm.operation_kinds import LABELS as OPERATION_KINDS
from hub.crm.password_resets import ResetLink
from hub.crm.people import UserRecord
from hub.crm.presence import Said
from hub.crm.roles.presets import PRESET
from hub.crm.roles.rights import Explanation, on_kinds
from hub.crm.roles.table import ACTION_LABELS, RIGHT_OPTIONS, ROLES, SCOPE_LABELS, Grant, RoleRecord
from hub.crm.rules import TeamRules
from hub.crm.sessions import OpenSession
from hub.crm.teams.table import TeamRecord
from hub.crm.timeline import Figures
from hub.crm.tokens import Token
from hub.crm.two_factor import TwoFactor
from hub.crm.typical_data import Item
from hub.crm.typical_data import Part as TypicalPart
from hub.errors import Conflict as Conflict409
from hub.errors import Refused
from hub.mail.accounts.account import Account, AccountSettings, Side
from hub.mail.accounts.trial import Step
from hub.mail.accounts.trial import Trial as MailTrial
from hub.mail.answering import Writer
from hub.mail.choices import OutboxStand
from hub.mail.files.attachments import Preview
from hub.mail.health import WAITING, Backlog, FolderHealth, Health, Trouble
from hub.mail.mailbox_kind import MAILBOXES
from hub.mail.message_kind import MESSAGES
from hub.mail.originals import Original
from hub.mail.query import parse
from hub.mail.reading.quotes import Parts
from hub.mail.register import RecipientRow
from hub.mail.sender_signs import Warned
from hub.mail.sending import standing
from hub.mail.sending.cancelling import Waiting
from hub.mail.sending.composer import Writing, later_choices
from hub.mail.sending.draft_kind import DRAFTS
from hub.mail.sending.drafts import Draft, DraftFile, Start
from hub.mail.sending.identities import Identity, Signature
from hub.mail.sending.outbox_kind import OUTBOX, OutboxRow
from hub.mail.sending.template_kind import TEMPLATES, Template
from hub.mail.undeliverable import Undeliverable
from hub.telephony.control import intents
from hub.telephony.health import PbxState
from hub.telephony.presence.presence import Colleague
from hub.telephony.presence.wallboard import Board, BoardCall, Today
from hub.telephony.reading import colleagues
from hub.telephony.reading.call_kind import CALLS
from hub.telephony.routing.routing import Facts, Owner, Target, decide
from hub.web import palette, styleguide, styleguide_records
from hub.web.assets import Assets
from hub.web.base.columns import Values
from hub.web.base.filters import Chip, FilterForm
from hub.web.base.forms import Conflict, FormField, RecordForm
from hub.web.base.kind import Asked, RecordQuery, WebKind
from hub.web.base.list_fields import Choices
from hub.web.base.list_page import Column, ListAddress, RecordList
from hub.web.base.pinned_pages import Pinned
from hub.web.base.record_page import Card, Change, Edits, ShownEdit
from hub.web.base.view_pages import ViewForm
from hub.web.crm.audit import WEB as AUDIT_WEB
from hub.web.crm.calls import WEB as CALL_WEB
from hub.web.crm.calls import CallQuery
from hub.web.crm.clients import WEB as CLIENT_WEB
from hub.web.crm.drafts import WEB as DRAFT_WEB
from hub.web.crm.leads import WEB as LEAD_WEB
from hub.web.crm.leads import LeadQuery
from hub.web.crm.mail_templates import FIELDS, TemplateQuery
from hub.web.crm.mail_templates import WEB as TEMPLATE_WEB
from hub.web.crm.mailboxes import WEB as MAILBOX_WEB
from hub.web.crm.messages import WEB as MESSAGE_WEB
from hub.web.crm.messages import MessageQuery, why_found
from hub.web.crm.outbox import WEB as OUTBOX_WEB
from hub.web.crm.outbox import OutboxQuery
from hub.web.crm.roles import WEB as ROLE_WEB
from hub.web.crm.roles import granted, grid
from hub.web.crm.teams import WEB as TEAM_WEB
from hub.web.crm.users import WEB as USER_WEB
from hub.web.guide.book import read_book
from hub.web.guide.search import search
from hub.web.i18n import translator
from hub.web.jinja_env import make_environment
from hub.web.message_view import Attendee, Event, File, MessageView, event_of, linked
from hub.web.pages.characteristics import TYPE_LABELS
from hub.web.pages.dictionaries import UsePlace
from hub.web.pages.rules import BlockedQuery, TrialQuery
from hub.web.pages.typical_data import STATES, ShownItem
from hub.web.team_rules import Trial, form_values

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ANNA = Actor(5, "Анна Иванова", "anna@hub.test", "manager", frozenset({1}), "101", "ru")
OLGA = Actor(1, "Ольга Соколова", "olga@hub.test", "admin", frozenset(), None, "ru")
BUILT = "app.css app.js boot.js composer.js live-worker.js sprite.svg favicon.svg inter-latin-wght-normal.woff2".split()
ASSETS = Assets(Path(), {name: name for name in [*BUILT, "inter-cyrillic-wght-normal.woff2"]})
FLAGS = frozenset("autofocus checked disabled formnovalidate hidden multiple open readonly required selected".split())
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


class Filters:
    """A query of a register in which nothing is chosen."""

    def __getattr__(self, name: str) -> None:
        return None


def _lead(number: int, **about: Any) -> Lead:
    phone = "+79268112231"
    known = (number, 1, None, None, 1, "open", "new", phone, "phone", phone, None, None, None, 2, "", None)
    lead = Lead(*known, NOW, NOW, None, "sales")
    return replace(lead, **about)


def _standing(number: int, stand: OutboxStand) -> standing.Standing:
    people = [("a@x.test", "sent", 250, "ok", ""), ("b@x.test", "deferred", 451, "4.7.1 later", "greylisted")]
    recipients = tuple(standing.StandingRecipient(*one) for one in people * 6)
    state = "queued" if stand == "waiting" else "sent" if stand in ("bounced", "no_copy") else stand
    reason = "held_old" if stand == "unknown" else "451 4.7.1 later" if stand == "deferred" else ""
    about = ("sales@hub.test", stand, state, "Счёт", "Анна", 1, "Ромашка", reason, 2)
    return standing.Standing(number, number, *about, NOW, NOW, "[OVERQUOTA]", recipients)


def _outbox_row(number: int, stand: OutboxStand) -> OutboxRow:
    one = _standing(number, stand)
    return OutboxRow(
        id=number,
        message_id=number,
        mailbox_id=1,
        state=one.state,
        not_before=NOW,
        attempts=one.attempts,
        reason=one.reason,
        author=(5,),
        standing=one,
    )


def _intent(kind: intents.Kind, state: intents.IntentState, reason: str = "") -> intents.Intent:
    words = dict.fromkeys(("call_id", "claim_id", "channel_id", "channel", "queue", "target", "peer_channel"))
    about: dict[str, Any] = {**words, "extension": "101", "number": "+74951234567", "settled_at": None}
    return intents.Intent(
        id=9, pbx="office", kind=kind, state=state, user_id=5, created_at=NOW, deadline=NOW, reason=reason, **about
    )


GUIDE = read_book("en")
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
SIGNS = ("looks_like", "mixed_script", "name_is_address", "reply_elsewhere", "several_from", "says_us")
PDF = MAIL.attachments[0]
LETTER = MessageView(
    message=replace(
        MAIL,
        html='<p><img data-remote-src="https://x.example/p.png"/>Счёт</p>',
        cc=[{"name": "Пётр", "address": "p@x.example"}],
        flags=["flagged"],
        deleted_at=NOW,
        bounce_of=7,
        about={"signed": True, "encrypted": True, "event": {"summary": "Встреча"}},
        recipients=(RecipientRow("a@b.example", "refused", 550, "no such user"),),
    ),
    answer_to="zueva@severles.example",
    warned=tuple(Warned(sign, "severles.example") for sign in SIGNS),  # type: ignore[arg-type]
    parts=linked(Parts("Счёт", "--", "> Здравствуйте")),
    files=(
        File(PDF, Preview("picture", "image/png"), "clean", False),
        File(replace(PDF, id=2), Preview("pdf", "application/pdf"), "waiting", False),
        File(replace(PDF, id=3, scan_note="Eicar"), None, "infected", True),
        File(replace(PDF, id=4), None, "failed", False),
    ),
    calendar=2,
    raw="",
    pictures="blocked",
    is_always=False,
    defects=("it has no date that can be read",),
    event=Event(
        summary="Встреча",
        starts="2026-11-25T10:00:00+00:00",
        ends="2026-11-26T11:00:00+00:00",
        is_all_day=False,
        place="Москва",
        organiser="Мария Зуева",
        attendees=(Attendee("Анна", "accepted"), Attendee("Б", "delegated", "v@x.example"), Attendee("В")),
        recurrence={"en": "every week", "ru": "каждую неделю"},
        description="Повестка",
        is_cancelled=True,
        is_answer=False,
    ),
    original=Original("Ирина Лебедева", "irina@romashka.example", None),
    may_mark=True,
)
UNREAD = replace(
    LETTER,
    message=replace(MAIL, html=None, text="", parse_state="failed", state="unknown", direction="out", about={}),
    raw="Subject: <script>",
    pictures="shown",
    is_always=True,
    warned=(),
    files=(),
    event=None,
    original=Original("", "irina@romashka.example", Candidate(1, "ООО «Ромашка»", None, "", "client", "exact")),
)
CARD = {"client": styleguide.client(), "entries": SAMPLE["entries"], "request_id": "r" * 32, "next_cursor": "abc"}
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
PHONES = (AddressValue("+79037001112", "12", "8 903 700-11-12"), AddressValue("+79037001113"))
CLIENT = replace(
    styleguide_records.client(NOW),
    id=1,
    version=2,
    kind="person",
    name="Татьяна <Белова>",
    full_name="Татьяна <Белова>",
    note="Строка\nи ещё одна",
    source="fair",
    state="fair",
    region="fair",
    external_id="<1>",
    inn="500100732259",
    legal_address="Москва",
    owner_id=5,
    team_id=1,
    phones=PHONES,
    emails=(AddressValue("belova@post.example"),),
)
CLIENT_NAMES = {("user", 5): "Анна Иванова", ("team", 1): "sales"}
CLIENT_VALUES = {field.name: CLIENTS.value(CLIENT, field) for field in CLIENTS.fields}
RECORD = Card(CLIENT_WEB, CLIENT, CLIENT_NAMES, frozenset({"see", "edit", "delete"}), CLIENTS.fields, CLIENT_VALUES)
CARD |= {"card": RECORD, "figures": Figures(NOW, NOW - timedelta(days=3), 7), "only": "", "tab": ""}
CARD |= {"items": SAMPLE["items"], "teams": {1: "sales"}}
CARD |= {"group": Group((Company(8, "<Холдинг>"),), (Company(9, "<Цех>"),), True)}
EDITS = Edits(
    [
        ShownEdit(
            Entry(9, NOW, 5, "Анна Иванова", "api", None, 2, {"manager": [None, 5]}),
            (Change(CLIENTS.field("manager"), "manager", None, 5), Change(None, "gone", "a", "<b>")),
        ),
        ShownEdit(Entry(8, NOW, None, None, "hub", None, 2, {"archived": [False, True]}), ()),
        ShownEdit(Entry(7, NOW, 5, "Анна Иванова", "page", None, 1, {}), ()),
    ],
    CLIENT_NAMES,
    "x",
)


def _form(*, version: int | None = None) -> dict[str, Any]:
    """A form with a field of every widget, one problem and one conflict."""
    named = CLIENTS.by_name | {"client": CONTACTS.field("client")}
    options = (("5", "Анна <Иванова>", False), ("organisation", "Organisation", True))
    fields = [
        FormField(named["name"], "text", "<x>", Problem("too_long", "At most %(max)s characters", {"max": 300})),
        FormField(named["kind"], "select", "person", None, options),
        FormField(named["phones"], "lines", "+7\n+8", conflict=Conflict("+9", "")),
        FormField(named["team"], "several", "5", None, options),
        FormField(named["client"], "record", "1", shown="Ромашка"),
        FormField(named["note"], "check", "on"),
    ]
    error = Conflict409("record_changed", "changed") if version else None
    row = CLIENT if version else None
    form = RecordForm(tuple(fields), version, "Борис")
    return {"web": CLIENT_WEB, "form": form, "texts": {"contact": "Анна"}, "row": row, "error": error}


def _card(web: WebKind, row: Any) -> Card:
    """The card of a record that may be edited."""
    values = {field.name: web.entity.value(row, field) for field in web.entity.fields}
    names = {("role", 3): "Manager", ("team", 1): "sales"}
    return Card(web, row, names, frozenset({"see", "edit", "delete"}), web.entity.fields, values)


PERSON = _card(
    USER_WEB,
    UserRecord(
        5,
        2,
        NOW,
        NOW,
        None,
        "Анна <Иванова>",
        "anna@hub.test",
        3,
        "101",
        "ru",
        "Asia/Omsk",
        NOW,
        None,
        4,
        NOW,
        None,
        (1,),
    ),
)
TEAM = TeamRecord(1, 1, NOW, NOW, None, "sales")
ROLE = RoleRecord(
    3, 1, NOW, NOW, None, None, "Стажёр", (Grant("client", "see", "own"),), ("telephony",), ("desk",), True
)
TEMPLATE = Template(1, 1, NOW, NOW, None, None, "Счёт", "ru", "Счёт для {{client.name}}", "<p>x</p>", 5)
VIEW = View(3, "client", "Мои <b>", {}, (), "", "team", 5, 1, True, 0, 1, NOW, NOW)
LIST = RecordList(
    web=CLIENT_WEB,
    query=RecordQuery(q="бел", cursor="x", changed_view=3),
    rows=[CLIENT],
    next="y",
    previous="w",
    values=Values(CLIENTS, CLIENT_NAMES, {}),
    columns=tuple(Column(CLIENTS.field(name), "?", "ascending") for name in ("name", "phones", "emails", "manager")),
    may_create=True,
    address=ListAddress("/clients", {"q": "бел"}, {"q": "бел"}),
    reader=OLGA,
    fields=CLIENTS.by_name,
    choices=Choices(translator("ru"), {}),
    asked=Asked(All(()), "", (), None),
    views=(VIEW, replace(VIEW, id=4, shared_with="me", team_id=None, owner_id=OLGA.user_id)),
    chips=(Chip(0, "Имя", "содержит <ёлка>"), Chip(1, "", "Сложное условие", Problem("x", "No"))),
)
TAKEN = {"name": Problem("taken", "Already taken")}
VIEW_FORM = ViewForm(
    "<x>", "team-1", pinned=True, teams=((1, "sales"),), problems={"name": Problem("taken", "Already taken")}
)
COLUMNS = {"web": CLIENT_WEB, "address": LIST.address, "fields": CLIENTS.fields[1:], "shown": {"phones"}}
OPS = (("is", "равно"), ("contains", "содержит"))
FILTER_FORMS = [
    FilterForm(CLIENTS.field(name), "is", OPS, widget, (("5", "<Анна>"),), ("5",), {"5": "Анна"}, place, problem)
    for name, widget, place, problem in (
        ("name", "text", 0, Problem("bad_value", "A value must not be empty")),
        ("created_at", "dates", None, None),
        ("created_at", "period", None, None),
        ("manager", "several", 1, None),
        ("team", "record", None, None),
        ("note", "", None, None),
    )
]
DEFINITION = Definition(1, "client", "size", {"ru": "<Размер>"}, "choice", None, True, "Склад", 0, True, 1)
KNOWN = KnownDictionary("client_source", "Sources of clients", False)
OPTIONS = KnownDictionary("c.client.size", "Размер", False, DEFINITION)
VALUE = Value(1, "client_source", "fair", {"ru": "<Выставка>"}, "red", "flag", 0, True, None, {}, 1)
TYPICAL = TypicalPart(
    "list.client_source", "Sources of clients", "/dictionaries/client_source", (Item("site", "<Site>", "missing"),), 1
)
OPERATION = Operation(
    *(1, "bulk_edit", "client", "running", 5, {}, 3, 10, 3, 1, False, "stopped <here>", None, NOW, NOW, None),
)
CARD |= {"came_back": {"zueva@severles.example": Undeliverable("a@b", "5.1.1", "no such user", 1, 2, NOW, NOW)}}
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
FOUND = why_found(parse("счёт договор "), [MAIL], {1: "Пришлите счёт"})
PEOPLE = [DirectoryEntry(5, "Анна Иванова", "anna@hub.test", "manager", "101", (1,), False)] * 2
BOX = Health(
    id=1,
    address="sales@hub.test",
    name="",
    team_id=1,
    team_name="sales",
    owner_id=None,
    owner_name=None,
    is_enabled=True,
    state="up",
    error="",
    error_at=None,
    seen_at=NOW,
    last_mail_at=NOW,
    send_state="auth_refused",
    send_error="535 no",
    trouble="",
    late=None,
)
BOXES = [
    BOX,
    *(replace(BOX, id=n, trouble=trouble) for n, trouble in enumerate(get_args(Trouble), 2)),
    replace(
        BOX,
        id=99,
        trouble="auth",
        error="refused",
        error_at=NOW,
        late=timedelta(hours=3),
        owner_name="Анна",
        folders=(
            FolderHealth("INBOX", "inbox", 50, 200, False, (7, 9), NOW),
            FolderHealth("Sent", "sent", 9, 9, True, (), None),
            FolderHealth("Архив", "other", 0, 0, False, (), None),
        ),
        backlog=tuple(Backlog(state, 2, NOW) for state in WAITING),
        unreadable=3,
    ),
]
PHONE = {"panel": replace(SAMPLE["panel"], told=_intent("blind", "unknown")), "parked": SAMPLE["calls"][1:]}
_SIDE = Side(host="imap.hub.test", port=993, username="sales", tls_exception="sha256:" + "0" * 64)
ACCOUNT = Account(
    id=3,
    version=2,
    address="sales@hub.test",
    name="Sales",
    team_id=1,
    team_name="sales",
    owner_id=None,
    owner_name="",
    source="page",
    sign_in="google",
    is_enabled=True,
    settings=AccountSettings(imap=_SIDE, smtp=_SIDE, oauth="google", folders=("Архив",)),
    state="auth_refused",
    error="imap.hub.test refused the sign-in",
    error_at=NOW,
    send_state="auth_refused",
    send_error="535 no",
    seen_at=NOW,
    last_mail_at=NOW,
    first_synced_at=NOW,
    created_at=NOW,
)
ACCOUNTS = [
    ACCOUNT,
    replace(ACCOUNT, id=4, state="up", send_state="ok", owner_id=5, owner_name="Анна", error=""),
    replace(ACCOUNT, id=5, is_enabled=False),
    replace(ACCOUNT, id=6, state="down", send_state="ok", source="file", settings=None),
    replace(ACCOUNT, id=7, state="connecting", send_state="ok", error="", seen_at=None),
]
STEPS = (
    Step("imap", True, 120, "imap.hub.test:993, SCRAM-SHA-256"),
    Step("folders", True, 8, "5, Sent"),
    Step("smtp", False, 300, "535 no", code="smtp_refused"),
)
PAGES: dict[str, dict[str, Any]] = {
    "mailboxes/list.html": {
        "list": replace(
            LIST,
            web=MAILBOX_WEB,
            query=RecordQuery(q="бел"),
            rows=ACCOUNTS,
            values=Values(MAILBOXES, {}, {}),
            columns=tuple(Column(field) for field in MAILBOXES.fields if not field.hidden),
        ),
    },
    "mailboxes/own.html": {"boxes": ACCOUNTS},
    "mailboxes/form.html": {
        "version": 2,
        "account": ACCOUNT,
        "values": {"address": "sales@hub.test", "team": "1", "oauth": "google"},
        "personal": False,
        "teams": [(1, "sales")],
        "providers": [("google", "Google"), ("microsoft", "Microsoft")],
        "folders": ["Архив"],
        "error": None,
        "theirs": [("Имя", "<Продажи>")],
        "said": "signed_in",
        "found": "",
    },
    "mailboxes/trial.html": {
        "trial": MailTrial(STEPS, (("INBOX", ""), ("Отправленные", "sent")), "Отправленные"),
        "error": None,
        "chosen": frozenset({"INBOX"}),
    },
    "admin/teams.html": {
        "rows": [
            {"team": Team(1, "sales"), "rules": RULES, "now": openness(RULES.hours, (), NOW, UTC)},
            {"team": Team(2, "support"), "rules": TeamRules(), "now": openness({}, (), NOW, UTC)},
        ],
        "names": {1: "sales", 2: "support"},
    },
    "admin/rules.html": {
        "version": "0123456789abcdef",
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
    "shell/palette.html": {
        "q": "79037001112",
        "go": list(palette.go(ANNA)),
        "do": palette.DO,
        "number": "+79037001112",
        "clients": [Found(1, "person", "Татьяна Белова", "+79037001112", None, NOW)],
        "people": [ContactRow(2, "Мария Зуева", "", 1, "ООО «Северный лес»", NOW, ())],
    },
    "presence/mine.html": {"said": Said("after_call", NOW, NOW + timedelta(seconds=30), NOW)},
    "wallboards.html": {"teams": [Team(1, "sales"), Team(2, "support")]},
    "wallboard.html": {"board": BOARD, "teams": [Team(1, "sales"), Team(2, "support")], "screen": False},
    "clients.html": {"list": LIST, "reach": {1: {"phone": "+79037001112", "email": None}}},
    "base/list.html": {"list": LIST},
    "base/filter_form.html": {"web": CLIENT_WEB, "address": LIST.address, "form": FILTER_FORMS[3]},
    "base/bulk_form.html": {
        "web": CLIENT_WEB,
        "address": LIST.address,
        "offered": CLIENTS.fields[1:],
        "chosen": "note",
        "form": RecordForm((FormField(CLIENTS.field("note"), "lines", "<x>"),)),
    },
    "base/view_form.html": {"web": CLIENT_WEB, "form": VIEW_FORM, "view": None, "action": "/clients/views"},
    "base/view_page.html": {"web": CLIENT_WEB, "form": VIEW_FORM, "view": VIEW, "action": "/clients/views/3"},
    "base/views.html": {"web": CLIENT_WEB, "views": LIST.views, "mine": {3, 4}, "teams": {1: "sales"}},
    "base/pinned.html": {"entries": [Pinned(VIEW, "/clients", 1000), Pinned(VIEW, "/clients", None)], "counted": 999},
    "base/columns_form.html": COLUMNS,
    "base/columns_page.html": COLUMNS,
    "base/filter_page.html": {"web": CLIENT_WEB, "address": LIST.address, "form": FILTER_FORMS[0]},
    "base/count.html": {"found": Count(10_000, capped=True)},
    "base/form_page.html": _form(),
    "base/field_form.html": _form(version=2),
    "base/record.html": {"card": RECORD},
    "base/history.html": {"card": RECORD, "edits": EDITS},
    "user.html": {
        "card": PERSON,
        "explained": Explanation(
            3, "Manager", False, tuple(on_kinds(PRESET["manager"].grants)), ("telephony",), ("supervise",)
        ),
        "titles": {word: entity.titles for word, entity in registry.kinds().items()},
        "actions": ACTION_LABELS,
        "scopes": SCOPE_LABELS,
        "right_labels": {option.value: option.label for option in RIGHT_OPTIONS},
        "heirs": [PERSON.row],
        "link": "https://hub.example/reset/x",
        "has_password": False,
        "sessions": [(OpenSession(1, NOW, NOW, NOW, "192.0.2.7", ""), "Firefox")],
        "tokens": [(Token(1, 2, "anna@hub.example", "1C", NOW, None, None, None), True)],
    },
    "lead.html": {"card": _card(LEAD_WEB, _lead(1)), "may_end": True},
    "team.html": {"card": _card(TEAM_WEB, TEAM), "people": [PERSON.row]},
    "role.html": {
        "card": _card(ROLE_WEB, ROLE),
        "people": [PERSON.row],
        **grid(),
        "granted": {("client", "see"): "own"},
    },
    "client/participants_field.html": {
        "one": FormField(
            CLIENTS.field("participants"),
            "several",
            "5 leader\n6 member",
            Problem("not_found", "There is no such record"),
            (("5", "Анна <Иванова>", False),),
        ),
        "facts": CLIENT_WEB.field_templates["participants"].facts("5 leader\n6 member"),
    },
    "role/grid_field.html": {
        "one": FormField(
            ROLES.field("grants"), "lines", "client see own", Problem("too_many", "At most %(max)s values", {"max": 5})
        ),
        "facts": grid() | {"granted": granted("client see own")},
    },
    "administration/dictionaries.html": {"rows": [(KNOWN, "Sources of clients", [VALUE]), (OPTIONS, "Размер", [])]},
    "administration/values.html": {
        "known": KNOWN,
        "title": "Sources of clients",
        "values": [(VALUE, 0), (replace(VALUE, active=False), 1)],
        "form": _form()["form"],
        "error": None,
    },
    "administration/value.html": {
        "known": OPTIONS,
        "title": "Размер",
        "value": VALUE,
        "form": _form()["form"],
        "below": [VALUE],
        "uses": [UsePlace("Clients", "Source", 10_000, True, "/clients?where=x")],
        "others": [("site", "Сайт")],
        "error": Conflict409("in_use", "in use"),
    },
    "administration/typical_data.html": {"parts": [TYPICAL, replace(TYPICAL, name="roles", items=TYPICAL.items[:1])]},
    "administration/typical_part.html": {
        "part": TYPICAL,
        "items": [
            ShownItem("site", "<Сайт>", "delivered", ()),
            ShownItem("fair", "<Выставка>", "changed", tuple([("<Name>", "<was>", "<now>")] * 9)),
        ],
        "states": STATES,
    },
    "administration/characteristics.html": {
        "entity": CLIENTS,
        "kinds": [CLIENTS],
        "rows": [DEFINITION],
        "types": TYPE_LABELS,
        "language": "ru",
    },
    "administration/characteristic.html": {
        "entity": CLIENTS,
        "row": DEFINITION,
        "title": "<Размер>",
        "form": _form()["form"],
        "types": TYPE_LABELS,
        "others": [("text", "Text")],
        "error": None,
    },
    "administration/operations.html": {
        "rows": [OPERATION, replace(OPERATION, state="done")],
        "kinds": OPERATION_KINDS,
        "entities": registry.kinds(),
        "query": Filters(),
        "next_cursor": "x",
    },
    "administration/operation.html": {
        "operation": OPERATION,
        "counts": {"updated": 5, "refused": 1},
        "names": {1: "<Ромашка>"},
        "can_undo": True,
        "rows": [
            Result(1, "refused", (Reason(Problem("record_archived", "archived")),)),
            Result(2, "kept", (Reason(CHANGED_SINCE, "name"), Reason(CHANGED_SINCE, "gone", "<b>"))),
            Result(3, "failed", told="record_archived: <b>"),
        ],
        "fields": CLIENTS.by_name,
        "kinds": OPERATION_KINDS,
        "entity": CLIENTS,
    },
    "templates.html": {
        "list": replace(
            LIST,
            web=TEMPLATE_WEB,
            query=TemplateQuery(language="ru"),
            rows=[TEMPLATE, replace(TEMPLATE, id=2, team_id=1)],
            values=Values(TEMPLATES, {("team", 1): "sales"}, {}),
            columns=tuple(Column(field) for field in TEMPLATES.fields if field.shown),
        ),
        "snippets": {1: "<x>", 2: ""},
    },
    "template.html": {"card": _card(TEMPLATE_WEB, TEMPLATE), "text": "Цены <b>"},
    "template/body_field.html": {
        "one": FormField(TEMPLATES.field("html"), "lines", "{{client.name}}"),
        "facts": {"placeholders": FIELDS},
    },
    "mail/writing.html": {
        "senders": [
            Identity(1, 1, "sales@hub.test", "Анна", "info@hub.test", True),
            Identity(None, 1, "sales@hub.test", "Отдел продаж", "sales@hub.test", False),
        ],
        "signatures": [
            (Signature(1, 5, None, "ru", "<p>С уважением</p>"), "", "С уважением"),
            (Signature(2, None, 1, "en", "<p>Best</p>"), "sales@hub.test", "Best"),
        ],
        "mailboxes": [(1, "sales@hub.test")],
        "fields": FIELDS,
        "values": {},
        "error": None,
    },
    "client.html": CARD,
    "compose.html": {"writing": OPEN_DRAFT},
    "compose/waiting.html": {"message": MAIL, "waiting": Waiting(NOW + timedelta(days=3), None)},
    "compose/deleted.html": {"draft_id": 7},
    "drafts.html": {
        "list": replace(
            LIST,
            web=DRAFT_WEB,
            rows=[DRAFT, replace(DRAFT, id=8, kind="new", subject="", to="", client_name=None)],
            values=Values(DRAFTS, CLIENT_NAMES, {}),
            columns=tuple(Column(field) for field in DRAFTS.fields if field.shown),
        ),
        "going": [(replace(DRAFT, id=9, message_id=4), NOW + timedelta(days=1))],
    },
    "client/waiting.html": {"client_id": 1, "items": SAMPLE["items"], "teams": {}},
    "client/timeline.html": {
        "client_id": 1,
        "only": "",
        "entries": SAMPLE["entries"],
        "recordings": {},
        "next_cursor": None,
    },
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
        "list": replace(
            LIST,
            web=CALL_WEB,
            query=CallQuery(only="missed"),
            rows=SAMPLE["calls"],
            values=Values(CALLS, {}, {}),
            columns=tuple(Column(field) for field in CALLS.fields if field.shown),
        ),
        "given": [("number", "Number", "<b>+7")],
    },
    "messages.html": {
        "list": replace(
            LIST,
            web=MESSAGE_WEB,
            query=MessageQuery(q="счёт", only="gone"),
            rows=[MAIL, replace(MAIL, id=2, direction="out", state="unknown", also_in=("own@hub.example",))],
            values=Values(MESSAGES, {}, {}),
            columns=tuple(Column(field) for field in MESSAGES.fields),
        ),
        "found": FOUND,
        "writable": {MAIL.mailbox_id},
        "not_understood": ("до:завтра",),
        "client_name": "<Ромашка>",
        "given": [("mailbox", "Mailbox", "<b>sales@hub.test")],
    },
    "mailboxes/health.html": {"boxes": BOXES},
    "mailboxes/card.html": {"box": BOXES[-1]},
    "messages/link.html": {
        "message": MAIL,
        "offered": [
            {"client_id": 2, "client_name": "Ромашка", "contact_id": 3, "contact_name": "Анна", "reason": "contact"}
        ],
        "found": [Found(4, "person", "Татьяна Белова", "+79037001112", None, NOW)],
        "q": "бел",
        "may_create": True,
    },
    "messages/found.html": {"messages": [MAIL], "found": FOUND, "q": "счёт", "is_more": True},
    "message.html": {
        "message": LETTER.message,
        "letter": LETTER,
        "sandbox": "allow-same-origin",
        "newer": (replace(MAIL, id=3, auto="auto_reply"),),
        "earlier": (replace(MAIL, id=2, direction="out", state="unknown", author_name="Анна"),),
        "older_cursor": "abc",
        "writers": [Writer(7, "Вера Павлова", NOW)],
        "writing": WRITING,
    },
    "account/password_reset.html": {"link": ResetLink(1, 2, "anna@hub.example", "Анна"), "token": "t", "error": None},
    "account/second_step.html": {"error": "wrong"},
    "account/two_factor.html": {
        "state": TwoFactor(NOW, is_required=False, codes_left=2),
        "error": Refused("wrong_password", ""),
        "secret": "",
        "qr": "",
        "codes": ["0123-4567-89ab-cdef"],
    },
    "account/enrolment.html": {
        "state": TwoFactor(None, is_required=True, codes_left=0),
        "error": None,
        "secret": "ABCDEFGH",
        "qr": Markup("<svg></svg>"),
        "codes": [],
    },
    "account/sign_ins.html": {
        "sessions": [
            (OpenSession(one, NOW, NOW, NOW, "192.0.2.7", ""), name) for one, name in ((1, "Firefox"), (2, ""))
        ],
        "current": 1,
        "tokens": [
            (Token(1, 2, "anna@hub.example", "1C", NOW, None, None, None), True),
            (Token(2, 2, "anna@hub.example", "", NOW, NOW, NOW, None), False),
        ],
    },
    "message/part.html": {"letter": UNREAD, "sandbox": "allow-same-origin"},
    "message/answering.html": {"thread_id": 1, "writers": []},
    "message/held.html": {"file": replace(MAIL.attachments[0], scan="infected", scan_note="Eicar"), "scan": "infected"},
    "message/text.html": {"file": MAIL.attachments[0], "text": "<b>", "is_cut": True},
    "audit.html": {
        "list": replace(
            LIST,
            web=AUDIT_WEB,
            rows=[
                AuditRow(1, NOW, 5, "call.listened", "call", 7, {"call": "<b>"}),
                AuditRow(
                    2,
                    NOW,
                    None,
                    "vault.dropped",
                    "vault",
                    None,
                    {"hours": [{"mon": ["09:00", None]}, {}], "personal": True},
                ),
            ],
            values=Values(AUDIT, {("user", 5): "Анна"}, {}),
            columns=tuple(Column(field) for field in AUDIT.fields if field.shown),
        ),
    },
    "leads.html": {
        "list": replace(
            LIST,
            web=LEAD_WEB,
            query=LeadQuery(),
            rows=[_lead(1), _lead(2, reason="callback", client_id=1)],
            values=Values(LEADS, {("team", 1): "sales"}, {}),
            columns=tuple(Column(field) for field in LEADS.fields if field.shown),
        ),
    },
    "outbox.html": {
        "list": replace(
            LIST,
            web=OUTBOX_WEB,
            query=OutboxQuery(),
            rows=[_outbox_row(n, stand) for n, stand in enumerate(OutboxStand)],
            values=Values(OUTBOX, {("user", 5): "Анна <b>"}, {}),
            columns=tuple(Column(field) for field in OUTBOX.fields if field.shown),
        ),
        "counts": dict.fromkeys(standing.OPEN, 1000),
        "backlogs": [
            (standing.Backlog(1, "sales@hub.test", 7, "auth_refused", "535 5.7.8 no", NOW), "{}"),
            (standing.Backlog(2, "info@hub.test", 0, "down", "no answer", NOW), "{}"),
        ],
        "at_most": standing.AT_MOST,
    },
    "outbox/stuck.html": {"count": 3},
    "help/page.html": {"book": GUIDE, "shown": GUIDE.pages["desk"], "question": ""},
    "help/found.html": {"book": GUIDE, "question": "call", "hits": search(GUIDE.pages.values(), "call")},
    "styleguide.html": SAMPLE | styleguide_records.facts(OLGA, translator("en"), NOW),
    "pbx_states.html": {
        "down": [
            PbxState("office", "down", NOW, "cannot connect: refused"),
            PbxState("berlin", "auth_refused", NOW, "Authentication failed"),
            PbxState("ufa", "connecting", None, ""),
        ]
    },
    "error.html": {"status": 404, "code": "page_missing", "number": ""},
    "error_fragment.html": {"status": 409, "code": "already_claimed"},
    "desk/waiting.html": {"waiting": SAMPLE["items"], "teams": {}},
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
    flags_with_values: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        # A boolean attribute that is there is true, whatever its value says.
        self.flags_with_values += [name for name in FLAGS & given.keys() if given[name] not in ("", name)]
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
    assert seen.flags_with_values == []
    assert sorted(set(seen.ids)) == sorted(seen.ids), "an id stands twice"


@pytest.mark.parametrize("form", FILTER_FORMS, ids=lambda one: one.widget or "none")
def test_each_widget_of_a_filter_is_whole_and_named(form: FilterForm) -> None:
    seen = Seen()
    seen.feed(draw("base/filter_page.html", "ru", ANNA, form=form))
    assert (seen.wrongly_closed, seen.open_tags, seen.unnamed_controls(), seen.flags_with_values) == ([], [], [], [])
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
    bad = replace(
        MAIL, subject=evil, from_name=evil, text=f"javascript:alert(1) {evil}", about={"event": {"summary": evil}}
    )
    page += draw(
        "message.html",
        "ru",
        ANNA,
        message=bad,
        letter=replace(
            LETTER,
            message=bad,
            event=event_of({"event": dict.fromkeys(("summary", "place", "description"), evil)}),
            warned=(Warned("reply_elsewhere", evil),),
            parts=linked(Parts(bad.text or "", evil, evil)),
        ),
    )
    page += draw("message/text.html", "ru", ANNA, text=evil)
    page += draw("message/part.html", "ru", ANNA, letter=replace(UNREAD, raw=evil))
    assert "<script>" not in page
    assert 'href="javascript' not in page


def test_a_mail_without_markup_needs_no_frame() -> None:
    page = draw(
        "message.html", "en", ANNA, letter=replace(LETTER, message=MAIL, parts=linked(Parts(MAIL.text or "", "", "")))
    )
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


@pytest.mark.parametrize("page", ["client.html", "desk.html", "leads.html"])
def test_a_call_has_its_strip_on_every_page_of_who_has_a_phone_and_on_no_other(page: str) -> None:
    drawn = draw(page, "en", ANNA)
    assert drawn.count('class="strip"') == 1
    assert drawn.index('class="strip"') < drawn.index('class="head')
    assert 'class="strip"' not in draw(page, "en", OLGA)
