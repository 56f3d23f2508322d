"""One door for each kind of record: no other module writes the table of a registered kind, or those of its lists."""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import hub
from hub.crm import kinds, models  # noqa: F401  # registers every kind
from hub.crm.base import registry
from hub.store.schema import metadata

ROOT = Path(hub.__file__).parent
STATEMENTS = frozenset({"insert", "update", "delete"})
ALLOWED = {
    ("crm/accounts.py", "users"): "passwords and sign-in, which are no fields",
    ("crm/password_resets.py", "users"): "until when an invitation works",
    ("crm/two_factor.py", "users"): "the second step of the sign-in, which is no edit of the record",
    ("crm/directory.py", "users"): "a person's own language, from their own page",
    ("crm/people/rules.py", "teams"): "teams that the configuration names",
    ("crm/people/rules.py", "users"): "accounts made by a command",
    ("crm/people/rules.py", "team_members"): "accounts made by a command",
    ("crm/roles/table.py", "role_grants"): "the store of the field of grants",
    ("crm/leads/rules.py", "leads"): "the calls and mails that open, join and end a lead",
    ("crm/queue/claims.py", "leads"): "whoever holds the item of a lead holds the lead",
    ("crm/clients/addresses.py", "addresses"): "the store of the fields of addresses",
}


def written_tables() -> set[str]:
    """The tables of the kinds that people edit, and those in which their fields of several values lie."""
    names = set()
    for entity in filter(lambda one: one.is_editable, registry.kinds().values()):
        names.add(entity.table.name)
        names |= {str(one.item.column.table.name) for one in entity.collections}
    return names


def writes(source: str) -> Iterator[str]:
    """Yield the name in `X.update()`, `sa.update(X)` and `insert(conn, X)`, and in raw SQL."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            word = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if word in STATEMENTS:
                of = [function.value] if isinstance(function, ast.Attribute) else []
                for one in (*of, *node.args[:2]):
                    if isinstance(one, ast.Name):
                        yield one.id
                    elif isinstance(one, ast.Attribute):
                        yield one.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.upper().replace('"', " ").split()
            for before, after in itertools.pairwise(words):
                if before in ("INTO", "UPDATE") or (before == "FROM" and "DELETE" in words):
                    yield after.strip("(").lower()


@functools.cache
def found() -> frozenset[tuple[str, str]]:
    tables = written_tables()
    assert {"clients", "contacts", "addresses"} <= tables <= set(metadata.tables)
    return frozenset(
        (str(path.relative_to(ROOT)), name)
        for path in sorted(ROOT.rglob("*.py"))
        if "migrations" not in path.parts
        for name in writes(path.read_text())
        if name in tables
    )


def test_no_module_but_the_base_writes_the_records_of_a_registered_kind() -> None:
    assert found() - set(ALLOWED) == set(), "write through records.writers(kind)"


def test_what_is_allowed_beside_it_is_still_there() -> None:
    assert set(ALLOWED) - found() == set()


def test_only_the_rules_of_a_kind_call_the_writers_of_the_base() -> None:
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_records = isinstance(node.func.value, ast.Name) and node.func.value.id in ("records", "writing")
                if is_records and node.func.attr in ("create", "update", "archive", "restore"):
                    found.add(str(path.relative_to(ROOT)))
    assert "crm/clients/rules.py" in found
    outside = {path for path in found if not path.endswith(("/rules.py", "/editing.py", "_rules.py"))}
    # Disabling an account is archiving its person; `people/editing` and the command both call it.
    assert outside == {"crm/accounts.py"}, "write through records.writers(kind), which has the kind's own rules"


def test_each_way_of_writing_is_seen() -> None:
    source = (
        "sa.update(clients)\nclients.insert()\ninsert(conn, contacts)\nmodels.teams.delete()\n"
        "sa.text('UPDATE users SET x = 1')\n'INSERT INTO leads (a)'\n'DELETE FROM addresses'\nread(clients)\n"
    )
    assert set(writes(source)) >= {"clients", "contacts", "teams", "users", "leads", "addresses"}
    assert set(writes("sa.select(clients)\n'a text about clients'\n")) == set()
