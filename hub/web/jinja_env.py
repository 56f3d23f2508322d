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
from hub.crm.audit.choices import words_of
from hub.crm.base import registry
from hub.crm.base.choices import Choices
from hub.mail import choices as mail_choices
from hub.telephony import choices as telephony_choices
from hub.telephony.choices import title_of
from hub.web import menu, waveform
from hub.web.assets import Assets
from hub.web.i18n import LANGUAGES, N_, translator

ERRORS = {
    "mailbox_exists": N_("This address is a mailbox of Hub already."),
    "mailbox_of_file": N_("This mailbox stands in the configuration file; its settings are changed there."),
    "mailbox_address": N_("A mailbox keeps its address; add another mailbox instead."),
    "bad_host": N_("This is no name of a server."),
    "host_private": N_("This server stands in a private network; only an administrator may name it."),
    "host_forbidden": N_("Hub connects to no such address."),
    "host_unknown": N_("There is no server of this name."),
    "field_missing": N_("A field is empty that is needed."),
    "oauth_state": N_("This sign-in was begun elsewhere or too long ago. Begin it again."),
    "oauth_unknown": N_("The administrator has to register Hub with this provider first."),
    "oauth_first": N_("Save the mailbox first, then sign in."),
    "oauth_no_refresh": N_("The provider gave no lasting permission. Take Hub's access away there and begin anew."),
    "already_asked": N_("This is being done already."),
    "already_claimed": N_("Somebody else took this first."),
    "already_there": N_("This phone is in the call already."),
    "bad_address": N_("This is not an address Hub can write to."),
    "bad_holidays": N_("Each holiday is a line that begins with its date; a date may come once."),
    "bad_hours": N_("These are no hours. Write from and until, for example 09:00–18:00."),
    "bad_pattern": N_("A pattern is digits with * for any digits and ? for one."),
    "team_missing": N_("Choose the team that gets mail from new senders."),
    "bad_auth": N_("Choose the provider whose sign-in opens the mailbox."),
    "bad_tls": N_("A provider's sign-in needs an encrypted connection."),
    "bad_field": N_("A field has a value that cannot be used."),
    "not_a_number": N_("This is no number."),
    "too_many_folders": N_("These are too many folders."),
    "control_character": N_("The text contains characters that cannot be used."),
    "mailbox_settings": N_("The settings of this mailbox are damaged. Enter them again."),
    "auth_refused": N_("The provider does not let Hub into this mailbox. Sign in again."),
    "bad_zone": N_("There is no such time zone."),
    "bad_email": N_("This is not an e-mail address."),
    "bad_number": N_("This is not a phone number."),
    "bad_password": N_("A password has 8 to 256 characters."),
    "bad_presence": N_("This cannot be said of oneself."),
    "bad_phone": N_("This is not a phone number."),
    "bad_request": N_("Hub could not read this request."),
    "being_retrieved": N_("Somebody else is taking this call up."),
    "call_ended": N_("The call is over."),
    "call_held": N_("Take the call off hold first."),
    "channel_missing": N_("The call is over."),
    "costly_number": N_("This is a premium or satellite number. Dial it on the phone itself."),
    "country_not_allowed": N_("Calls to this country are not allowed from here."),
    "emergency_number": N_("This is an emergency number. Dial it on a telephone: Hub does not call it."),
    "extension_not_here": N_("An extension cannot be dialled here. Leave it out and say it."),
    "letters_in_number": N_("This number has letters in it. Write it in digits."),
    "own_extension": N_("This is your own phone."),
    "dial_limit": N_("Too many calls in a short time. Wait a minute."),
    "draft_missing": N_("There is no such draft, or it was deleted."),
    "draft_newer": N_("This draft was changed elsewhere meanwhile. Load the page again."),
    "draft_sent": N_("This was sent already."),
    "empty_message": N_("Write something, or add a file."),
    "gone": N_("Too late: it has gone."),
    "not_a_picture": N_("Only pictures can stand within a text."),
    "too_far_ahead": N_("This is more than a year ahead."),
    "too_many_drafts": N_("You have too many drafts. Send or delete some."),
    "csrf": N_("The page has been open too long. Load it again."),
    "beyond_your_rights": N_("You cannot give or change rights that you do not have yourself."),
    "fixed_role": N_("The administrator's role permits everything and cannot be changed."),
    "in_use": N_("This is in use: people or open work depend on it. Move them first."),
    "forbidden": N_("You don't have permission to do this."),
    "foreign_origin": N_("This request came from another site."),
    "infected": N_("The virus scanner found something in this file. It is kept and not handed out."),
    "not_scanned": N_("The virus scanner has not found this file clean yet."),
    "no_preview": N_("This kind of file is only saved, not shown."),
    "no_files": N_("This message has no files to save."),
    "internal_error": N_("Something broke on our side. It is in the log."),
    "lead_not_open": N_("This lead is closed already."),
    "name_missing": N_("A name is needed."),
    "no_extension": N_("You have no phone extension yet. Ask your administrator for one."),
    "no_pbx": N_("There is no telephony to call through."),
    "no_such_field": N_("There is no such field:"),
    "template_there": N_("There is a template of this name in this language already."),
    "identity_there": N_("This name is there already."),
    "last_admin": N_("This is the only administrator."),
    "link_expired": N_("This link has expired. Ask your administrator for a new one."),
    "link_missing": N_("This link does not work. Check that it is whole, or ask your administrator for a new one."),
    "link_used": N_("This link was used already, or a newer one replaced it. Ask your administrator for a new one."),
    "no_recipient": N_("Say whom this is for."),
    "colleague_dnd": N_("This colleague does not want to be disturbed now: choose another, or keep the call."),
    "no_such_colleague": N_("No colleague with a phone goes by this name."),
    "not_consulting": N_("Nobody is being asked about this call any more."),
    "not_held": N_("The call is not on hold any more."),
    "not_parked": N_("This call is not parked any more."),
    "not_recorded": N_("This call is not being recorded."),
    "not_talking": N_("Nobody speaks in this call at the moment."),
    "not_two": N_("This needs exactly two on the line."),
    "not_waiting": N_("The caller is not waiting any more."),
    "not_yours": N_("You do not hold this any more."),
    "recording_expired": N_("This recording has been deleted: its time was over."),
    "recording_missing": N_("There is no such recording, or it is not yours to hear."),
    "out_of_range": N_("This number is too large or too small."),
    "overflow_seconds_missing": N_("Say after how many seconds callers go to the other team."),
    "overflow_to_itself": N_("A team cannot pass callers on to itself."),
    "pattern_too_wide": N_("This would keep out everybody, or a number of your own."),
    "page_missing": N_("There is nothing at this address. It may have been merged, or it is not yours to see."),
    "team_without_queue": N_("This team has no queue on any telephony yet."),
    "not_your_call": N_("Your phone is not in this call."),
    "other_team": N_("This is another team's call."),
    "own_number": N_("This is a number of your own company."),
    "passwords_differ": N_("The two passwords are not the same."),
    "session_missing": N_("This session has ended already."),
    "token_missing": N_("This token was revoked already."),
    "password_again": N_("This is another way to the server: type the password again."),
    "privilege_missing": N_("Your administrator has not given you this right."),
    "too_large": N_("This is too large to send."),
    "too_long": N_("This text is too long."),
    "too_many": N_("These are too many files."),
    "too_many_patterns": N_("These are too many patterns. Write wider ones."),
    "too_many_recipients": N_("These are too many recipients."),
    "too_many_streams": N_("Hub is open in too many tabs."),
    "your_own_call": N_("Your phone is in this call already."),
    "too_many_tries": N_("Too many tries. Wait a few minutes."),
}
BY_STATUS = {
    400: N_("Hub could not do this."),
    401: N_("Sign in first."),
    403: N_("You don't have permission to do this."),
    404: N_("There is nothing at this address. It may have been merged, or it is not yours to see."),
    410: N_("This is no longer kept."),
    408: N_("This did not arrive in time. Try again."),
    409: N_("Someone else changed this first. Reload."),
    413: N_("This is too large to send."),
    415: N_("Send this uncompressed."),
    429: N_("Too many tries. Wait a few minutes."),
    500: N_("Something broke on our side. It is in the log."),
    502: N_("It is not known whether this was done. Look before you try again."),
    503: N_("This cannot be reached right now. Try again in a moment."),
}
TITLES = {
    403: N_("No access"),
    404: N_("Page not found"),
    409: N_("Changed meanwhile"),
    410: N_("No longer here"),
    429: N_("Too many requests"),
    500: N_("Something went wrong"),
    502: N_("Outcome unknown"),
    503: N_("Temporarily unavailable"),
}


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
    env.filters.update(words.filters(), waveform=waveform.path, kind_path=kind_path, says_names=says_names)

    def error_text(code: str, status: int = 400) -> str:
        return words.gettext(ERRORS.get(code) or BY_STATUS.get(status) or BY_STATUS[400])

    def error_title(status: int) -> str:
        return words.gettext(TITLES.get(status) or N_("Something went wrong"))

    def click_id() -> str:
        """Return a name for one click of one drawing of a page."""
        return secrets.token_hex(8)

    env.globals.update(asset=assets.url, languages=LANGUAGES, error_text=error_text, error_title=error_title)
    env.globals.update(choices=CHOICES, title_of=title_of, audit_words=words_of)
    env.globals.update(
        click_id=click_id, menu_groups=menu.groups_for, menu_inner=menu.inner_for, menu_create=menu.creates_for
    )
    return env
