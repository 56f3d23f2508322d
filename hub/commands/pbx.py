"""`hub pbx snippet`: what an operator pastes into Asterisk's files, for the names in Hub's configuration."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys

from hub import resources, sanitize
from hub.commands.streams import chosen_pbx
from hub.errors import Refused
from hub.settings import load
from hub.telephony.doctor.reach import our_address
from hub.telephony.doctor.snippet import snippet as text_of

_ENDPOINT = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_SECTION = re.compile(r"[A-Za-z0-9_.@-]{1,80}")


async def snippet(arguments: argparse.Namespace) -> int:
    """Print it."""
    settings = load(arguments.config)
    pbx = chosen_pbx(settings, arguments.pbx)
    if not _SECTION.fullmatch(pbx.username):
        raise Refused("bad_name", f"pbx.username {pbx.username!r} cannot be the name of a section in manager.conf")
    if not _ENDPOINT.fullmatch(arguments.trunk):
        raise Refused("bad_name", f"--trunk: {arguments.trunk!r} is no endpoint's name")
    fallback = [sanitize.extension(word, field="--fallback") for word in arguments.fallback.split(",")]
    address = await asyncio.to_thread(our_address, pbx)
    region = pbx.region or settings.hub.default_region
    sys.stdout.write(
        text_of(
            pbx,
            our_address=address,
            region=region,
            trunk=arguments.trunk,
            fallback=fallback,
            freepbx=arguments.freepbx,
            dialplan=str(resources.folder("config") / "asterisk" / "extensions_hub.conf"),
        )
    )
    return 0
