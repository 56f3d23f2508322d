"""What the forms of mailboxes refuse is said in the reader's language: each code has a text of its own."""

from __future__ import annotations

import re
from pathlib import Path

import hub
from hub.web.error_texts import ERRORS

PLACES = ("hosts.py", "web/mailbox_forms.py", "web/pages/mailboxes.py", "mail/accounts/accounts.py")


def test_every_refusal_of_a_mailbox_form_has_a_text_for_people() -> None:
    root = Path(hub.__file__).parent
    found = {code for place in PLACES for code in re.findall(r'Refused\(\s*"(\w+)"', (root / place).read_text())}
    assert {"host_forbidden", "bad_host", "team_missing"} <= found
    assert found - set(ERRORS) == set()


def test_no_template_shows_an_error_in_english_to_whoever_reads_another_language() -> None:
    root = Path(hub.__file__).parents[1] / "templates"
    raw = [
        path.name
        for path in root.glob("**/*.html")
        if re.search(r"\{\{\s*error\.message(?! if lang == .en.)", path.read_text("utf-8"))
    ]
    assert raw == []
