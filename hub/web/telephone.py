"""Which PBX a click goes to, and how a person's way of writing a number is looked up."""

from __future__ import annotations

from hub.crm.addresses import parse_phone
from hub.errors import Refused
from hub.settings import Pbx
from hub.web.visit import Visit


def chosen_pbx(visit: Visit, name: str | None = None) -> Pbx:
    """Return the PBX of this name, the first one where none is named. Raises Refused."""
    for pbx in visit.services.settings.pbx:
        if name in (None, pbx.name):
            return pbx
    raise Refused("no_pbx", "there is no such PBX", field="pbx")


def looked_up_number(text: str | None, region: str) -> str | None:
    """Return the E.164 form of what a person wrote, else the text itself (an extension), None for nothing."""
    if not text:
        return None
    phone = parse_phone(text, region)
    return phone.value if phone else text
