"""The jinja2 environment of a language: words, formats, icons' and files' addresses, and what an error says.

`render` gives a template its facts; this gives it its voice. Invariants: everything is escaped unless it is our own
markup, and a name that a template was not given is an error, not an empty place.

Every page is rendered with: `actor` (Actor or None), `lang`, `csrf` ("" where nobody is signed in), `feed` (the
feed's position as text, "" where the page is not live), `is_demo`, `path` (of this page, for coming back), `now`,
`help` (the name of the page of the user guide about this screen).
A fragment needs `actor` and `now`, nothing of the session: rows are drawn once for many viewers.
"""

from __future__ import annotations

import secrets
from datetime import tzinfo
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

from hub.crm import choices as crm_choices
from hub.crm.audit import details
from hub.crm.base import permissions, registry
from hub.crm.base.choices import Choices
from hub.crm.base.reasons import Reason
from hub.mail import choices as mail_choices
from hub.telephony import choices as telephony_choices
from hub.telephony.choices import title_of
from hub.web import audit_words, error_texts, menu, waveform
from hub.web.assets import Assets
from hub.web.i18n import LANGUAGES, translator


class _Compiled(jinja2.BytecodeCache):
    """The templates compiled so far, by name and text: the environments of all languages share the work."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._code.get((bucket.key, bucket.checksum)):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


_COMPILED = _Compiled()
CHOICES = {
    name: one
    for module in (crm_choices, mail_choices, telephony_choices)
    for name, one in vars(module).items()
    if isinstance(one, type) and issubclass(one, Choices) and one is not Choices
}
"""Every choice, by the name of its class: `choices.MessageState("sent").label | say`."""


def kind_path(kind: str) -> str:
    """Return the address of the list of a kind of record."""
    return f"/{registry.kind(kind).plural}"


def kind_seen(kind: str, actor: permissions.Asker) -> bool:
    """Tell whether somebody may see records of a kind at all: else a name that is open to them leads nowhere."""
    return permissions.scope(actor, kind, "see") != "none"


def says_names(kind: str) -> bool:
    """Tell whether the names of a kind's delivered records are marked for translation."""
    return registry.kind(kind).names_are_marked


def make_environment(folder: Path, language: str, assets: Assets, *, zone: tzinfo | None = None) -> jinja2.Environment:
    """Return the environment that renders the templates of `folder` in one language."""
    words = translator(language, zone)
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_COMPILED,
    )
    env.install_gettext_callables(  # type: ignore[attr-defined]  # the extension adds it
        words.gettext, words.ngettext, newstyle=True
    )
    env.filters.update(
        words.filters(), waveform=waveform.path, kind_path=kind_path, kind_seen=kind_seen, says_names=says_names
    )

    def error_text(code: str, status: int = 400) -> str:
        return words.gettext(error_texts.of_error(code, status))

    def reason_text(reason: Reason) -> str:
        """Return why a record of an operation was not simply done, without its field."""
        problem = reason.problem
        if problem.code in error_texts.ERRORS or (words.gettext(problem.text) == problem.text and language != "en"):
            return error_text(problem.code)
        return words.problem(problem)

    def error_title(status: int) -> str:
        return words.gettext(error_texts.title_of_status(status))

    def click_id() -> str:
        """Return a name for one click of one drawing of a page."""
        return secrets.token_hex(8)

    env.globals.update(asset=assets.url, languages=LANGUAGES, error_text=error_text, error_title=error_title)
    env.globals.update(reason_text=reason_text)
    env.globals.update(choices=CHOICES, title_of=title_of, audit_words=audit_words.act_of)
    env.globals.update(
        audit_noun=audit_words.noun_of, audit_detail=details.AuditDetail.label_of, audit_word=audit_words.word_of
    )
    env.globals.update(audit_cards=audit_words.CARDS)
    env.globals.update(
        click_id=click_id, menu_groups=menu.groups_for, menu_inner=menu.inner_for, menu_create=menu.creates_for
    )
    return env
