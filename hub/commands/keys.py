"""`hub keys …`: the keys that secrets in the database are sealed with.

Names every table that holds sealed rows; `store.key_rotation` does the rest. A test finds a table that is missing here.
"""

from __future__ import annotations

import argparse
import sys

from hub.crm import two_factor
from hub.mail.accounts import secrets as mail_secrets
from hub.opening import opened
from hub.settings import load
from hub.store import key_rotation
from hub.store.encryption import Vault

SEALED = (mail_secrets.SEALED, two_factor.SEALED)


async def rotate(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    async with opened(settings) as parts:
        count = await key_rotation.rotate(parts.db, vault := Vault.of(settings), SEALED)
    sys.stdout.write(f"{count} secrets are sealed with a new key, which is in {vault.path}\n")
    return 0
