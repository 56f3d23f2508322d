"""Bank accounts of a client: a company has several, each with the bank's BIC and perhaps a correspondent account.

The last digits are checked by the rule of the Bank of Russia, account against BIC. Accounts at the treasury have
another rule, so only their form is checked. Invariant: a client holds an account at a bank once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.base.field import Field, Reading
from hub.crm.base.labels import FieldError, _
from hub.crm.models import client_bank_accounts

MOST = 20
MAX_BANK_CHARS = 200
PARTS = ("bic", "account", "correspondent_account", "bank")
_LINE = re.compile(r"([0-9]+)(?:[\s,;]+([0-9]+))?(?:[\s,;]+([0-9]+))?(?:[\s,;]+(.*))?")
_WEIGHTS = (7, 1, 3)
_OF_THE_BANK_OF_RUSSIA = ("000", "001", "002")
"""The last digits of the BIC of a settlement centre, whose accounts are checked as correspondent accounts are."""


@dataclass(frozen=True, slots=True)
class BankAccount:
    bic: str
    account: str
    correspondent_account: str = ""
    bank: str = ""


class BankAccountItem(Field):
    """One account: `{bic, account, correspondent_account, bank}`, in a form a line with the same in this order."""

    type = "bank_account"

    def convert(self, value: object, reading: Reading) -> BankAccount:
        if isinstance(value, str) and reading.is_form:
            found = _LINE.fullmatch(value.strip())
            if found is None:
                raise FieldError("bad_account", _("Write BIC, account, correspondent account and bank in one line"))
            value = dict(zip(PARTS, (part or "" for part in found.groups()), strict=True))
        if not isinstance(value, Mapping) or not {"bic", "account"} <= set(value) <= set(PARTS):
            raise FieldError("bad_account", _("An account has a BIC and a number"))
        parts = {name: "" if part is None else part for name, part in value.items()}
        if not all(isinstance(part, str) for part in parts.values()):
            raise FieldError("not_text", _("Must be a text"))
        return BankAccount(**parts)

    def check(self, value: BankAccount) -> BankAccount:
        bic, account, correspondent = (
            re.sub(r"\s", "", text) for text in (value.bic, value.account, value.correspondent_account)
        )
        bank = sanitize.shown(value.bank, max_chars=len(value.bank)).strip()
        if not re.fullmatch(r"[0-9]{9}", bic):
            raise FieldError("bad_bic", _("A BIC has 9 digits, as in 044525225"))
        for number in (account, correspondent) if correspondent else (account,):
            if not re.fullmatch(r"[0-9]{20}", number):
                raise FieldError("bad_length", _("An account has 20 digits: %(number)s"), number=number[:40])
        if not fits(bic, account):
            raise FieldError(
                "bad_check_digit", _("Account %(number)s does not fit the BIC: look for a typing error"), number=account
            )
        if correspondent and not (correspondent.endswith(bic[-3:]) and _is_right(_of_a_bank(bic), correspondent)):
            raise FieldError(
                "bad_check_digit",
                _("Account %(number)s does not fit the BIC: look for a typing error"),
                number=correspondent,
            )
        if len(bank) > MAX_BANK_CHARS:
            raise FieldError("too_long", _("At most %(max)s characters"), max=MAX_BANK_CHARS)
        return BankAccount(bic, account, correspondent, bank)

    def dump(self, value: BankAccount) -> dict[str, str]:
        return {name: text for name in PARTS if (text := getattr(value, name))}

    def form_text(self, value: BankAccount) -> str:
        return " ".join(self.dump(value).values())


def fits(bic: str, account: str) -> bool:
    """Tell whether an account can be one at the bank with this BIC."""
    if bic.startswith("01"):
        return True  # of the treasury
    return _is_right(_of_a_bank(bic) if bic[-3:] in _OF_THE_BANK_OF_RUSSIA else bic[-3:], account)


def _of_a_bank(bic: str) -> str:
    """Return the digits before an account that the Bank of Russia keeps, as a correspondent account."""
    return f"0{bic[4:6]}"


def _is_right(before: str, account: str) -> bool:
    """Tell whether the check digit fits: Bank of Russia, 515 of 1997-09-08, weights 7, 1, 3 over 23 digits."""
    digits = map(int, before + account)
    return sum(digit * _WEIGHTS[place % 3] for place, digit in enumerate(digits)) % 10 == 0


class BankAccountStore:
    """The accounts of clients, in the order in which they were given."""

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[BankAccount, ...]]:
        table = client_bank_accounts
        query = sa.select(table.c.client_id, *(table.c[name] for name in PARTS)).where(table.c.client_id.in_(ids))
        found: dict[int, tuple[BankAccount, ...]] = {}
        for client_id, *parts in await conn.execute(query.order_by(table.c.id)):
            found[client_id] = (*found.get(client_id, ()), BankAccount(*parts))
        return found

    async def replace(
        self, conn: AsyncConnection, record_id: int, values: tuple[BankAccount, ...], *, now: datetime
    ) -> None:
        table = client_bank_accounts
        await conn.execute(table.delete().where(table.c.client_id == record_id))
        rows = [{"client_id": record_id} | {name: getattr(one, name) for name in PARTS} for one in values]
        if rows:
            await conn.execute(table.insert(), rows)

    def owners(self, condition: Callable[[sa.Column[Any]], sa.ColumnElement[bool]]) -> sa.Select[tuple[int]]:
        table = client_bank_accounts
        return sa.select(table.c.client_id).where(condition(table.c.account))
