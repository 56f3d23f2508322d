"""Requisites of a client: the numbers that Russian registers give, and its site; each is checked as it is written.

Check digits are python-stdnum's; КПП has none and is checked by its form. Pure.
"""

from __future__ import annotations

import re
from typing import ClassVar, Unpack
from urllib.parse import urlsplit

import sqlalchemy as sa
from stdnum.exceptions import ValidationError
from stdnum.ru import inn, ogrn

from hub.crm.base.field import Options
from hub.crm.base.fields import Text
from hub.crm.base.labels import FieldError, _

_BETWEEN = re.compile(r"[\s\u00a0\u202f.-]+")
_KPP = re.compile(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}")
_HOST = re.compile(r"(?!-)[^\s./@:?#\\-][^\s/@:?#\\]*\.[^\s./@:?#\\]{2,}")


class RegisterNumber(Text):
    """A number that a register gave: kept without spaces, compared and sorted by its own column."""

    lengths: ClassVar[tuple[int, ...]] = ()

    def __init__(self, column: sa.Column[str], label: str, **options: Unpack[Options]) -> None:
        # What is too long for a register is told by its own rule.
        super().__init__(column, label, folded=column, max_chars=100, **options)

    def check(self, value: str | None) -> str | None:
        clean = super().check(value and _BETWEEN.sub("", value))
        if clean is not None:
            self.check_digits(clean)
        return clean

    def check_digits(self, number: str) -> None:
        """Raise FieldError where the number cannot be one of this register."""
        if not re.fullmatch(r"[0-9]+", number) or len(number) not in self.lengths:
            lengths = " / ".join(map(str, self.lengths))
            raise FieldError("bad_length", _("Must have %(lengths)s digits"), lengths=lengths)


class Inn(RegisterNumber):
    """ИНН, the taxpayer's number: 10 digits of an organisation, 12 of a person; the last ones check the others."""

    lengths = (10, 12)

    def check_digits(self, number: str) -> None:
        super().check_digits(number)
        _validate(inn.validate, number)


class Ogrn(RegisterNumber):
    """ОГРН (13 digits) or ОГРНИП (15): the number in the state register; the last digit checks the others."""

    lengths = (13, 15)

    def check_digits(self, number: str) -> None:
        super().check_digits(number)
        _validate(ogrn.validate, number)


class Kpp(RegisterNumber):
    """КПП, the reason of registration: tax office, reason, serial number. It has no check digit."""

    def check_digits(self, number: str) -> None:
        if not _KPP.fullmatch(number):
            raise FieldError("bad_kpp", _("Must have 9 characters, as in 770101001"))


class Site(Text):
    """The address of a site, kept with its scheme; only http and https, so that it is safe as a link."""

    def check(self, value: str | None) -> str | None:
        clean = super().check(value)
        if not clean:
            return clean
        address = clean if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", clean) and "://" in clean else f"https://{clean}"
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
            parts.port  # noqa: B018
        except ValueError:
            host, parts = "", urlsplit("")
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or parts.username or parts.password:
            raise FieldError("bad_site", _("Not the address of a site, as in example.com"))
        return super().check(address)


def _validate(check: object, number: str) -> None:
    assert callable(check)
    try:
        check(number)
    except ValidationError:
        raise FieldError("bad_check_digit", _("The check digit does not fit: look for a typing error")) from None
