"""Each message of `tests/corpus` is read as its neighbour in JSON says; the corpus is what its script makes.

Names in the JSON: `subject`, `text`, `html`, `message_id`, `auto`, `date`, `also_has` … as of `ParsedMessage`; `from_`
is `[name, address]` or null; `to`, `cc` are addresses; `files` are `[name, type, size or null, inline]`; `…_has` are
pieces that must be in it, `…_not` that must not; `about` is compared by the keys given, deeply; `came_back` are the
recipients that a notice names.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.mail.intake import bounces
from hub.mail.reading.mime import ParsedMessage, parse
from hub.mail.reading.parsing import read
from tests.corpus.make import FOLDER, all_cases
from tests.corpus.storable import assert_fits

NAMES = sorted(path.stem for path in FOLDER.glob("*.eml"))


def test_there_is_a_message_for_every_oddity() -> None:
    assert len(NAMES) >= 120
    cases = all_cases()
    assert sorted(cases) == NAMES
    for name, (raw, expected) in cases.items():
        assert (FOLDER / f"{name}.eml").read_bytes() == raw, f"{name}: run python -m tests.corpus.make"
        assert json.loads((FOLDER / f"{name}.json").read_text()) == json.loads(json.dumps(expected)), name
        assert len(raw) < 50_000


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_read_as_it_was_meant(name: str) -> None:
    raw = (FOLDER / f"{name}.eml").read_bytes()
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    got = parse(raw)
    assert expected
    for key, value in expected.items():
        if key == "came_back":
            notice = bounces.read(raw)
            assert notice is not None
            assert [one.address for one in notice.recipients] == value
        else:
            compare(got, key, value)
    whole = read(raw, mark="mark")
    assert whole.parsed == got
    assert_fits(whole)


def compare(got: ParsedMessage, key: str, value: Any) -> None:
    people = {"to": got.to, "cc": got.cc, "bcc": got.bcc, "reply_to": got.reply_to}
    if key == "from_":
        assert (got.from_ and [got.from_.name, got.from_.address]) == value
    elif key in people:
        assert [one.address for one in people[key]] == value
    elif key == "references":
        assert list(got.references) == value
    elif key == "date":
        assert (got.date and got.date.isoformat()) == value
    elif key == "files":
        for file, wanted in zip(got.attachments, value, strict=True):
            shape = [file.name, file.type, file.size, file.inline]
            assert [mine for mine, theirs in zip(shape, wanted, strict=False) if theirs is not None] == [
                theirs for theirs in wanted if theirs is not None
            ]
    elif key == "defects":
        assert sorted(got.defects) == sorted(value)
    elif key == "about":
        assert_within(got.about, value)
    elif key.endswith("_has"):
        whole = getattr(got, key.removesuffix("_has"))
        assert all(piece in whole for piece in value), whole
    elif key.endswith("_not"):
        whole = getattr(got, key.removesuffix("_not")) or ""
        assert not any(piece in whole for piece in value), whole
    else:
        assert getattr(got, key) == value


def assert_within(got: Any, wanted: Any) -> None:
    if isinstance(wanted, dict) and wanted:
        for key, value in wanted.items():
            assert_within(got[key], value)
    else:
        assert got == wanted
