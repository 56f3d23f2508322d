"""The types of characteristics, each with its label."""

from __future__ import annotations

from hub.crm.base.choices import Choices
from hub.crm.base.labels import _


class CharacteristicType(Choices):
    TEXT = "text", _("Text")
    LONG_TEXT = "long_text", _("Long text")
    NUMBER = "number", _("Decimal number")
    INTEGER = "integer", _("Whole number")
    YES_NO = "yes_no", _("Yes or no")
    DATE = "date", _("Date")
    MOMENT = "moment", _("Date and time")
    CHOICE = "choice", _("One of a list")
    MANY_CHOICE = "many_choice", _("Several of a list")
    PERSON = "person", _("Employee")
    EMAIL = "email", _("E-mail")
    PHONE = "phone", _("Phone")
