"""Texts of declarations that people read: marked where they are declared, translated where they are shown.

`from hub.crm.base.labels import _` marks a text for the catalogues and returns it unchanged; `Problem` is what is
wrong with one value. Translating is the page's business (`hub.web.i18n`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.errors import Refused


def _(text: str) -> str:
    """Mark a text for translation; return it unchanged."""
    return text


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with one value. `text` is a marked template for `params`: "At most %(max)s characters"."""

    code: str
    text: str
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The English sentence, for scripts and logs."""
        return self.text % self.params if self.params else self.text


class FieldError(Exception):
    """One value is not acceptable. Collected by `Entity.read`, never shown as it is."""

    def __init__(self, code: str, text: str, **params: object) -> None:
        super().__init__(code)
        self.problem = Problem(code, text, params)


class Invalid(Refused):
    """Input with problems, by the name of the field: `details.fields` is `{name: {code, message}}`."""

    status = 422

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        named = {name: {"code": one.code, "message": one.message} for name, one in problems.items()}
        text = "; ".join(f"{name}: {one.message}" for name, one in problems.items())
        super().__init__("invalid", text, fields=named)
        self.problems = dict(problems)

    def __reduce__(self) -> tuple[type[Invalid], tuple[dict[str, Problem]]]:
        return type(self), (self.problems,)
