"""Secrets at rest: sealed before they go into a row, opened when they are used. AES-256-GCM, keys in a file.

Decides how a secret is written down and which key opens it; what the secret is for is the caller's. Invariants: a
sealed text opens only in the place (table, row, kind) that it was sealed for; a key leaves the file only when no row
is sealed with it any more, so that a rotation killed anywhere leaves every secret readable.

The file has a line for each key, `ID BASE64`, the one that seals last. Backups need it, and must not lie beside it.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.errors import ConfigError, Unavailable
from hub.settings import Secret, Settings

NONCE_BYTES = 12
LOCK = 7_204_119_033
"""Of PostgreSQL's advisory locks: shared by who seals, alone for who takes a key out of the file."""
_LINE = re.compile(r"([a-z0-9]{8}) ([A-Za-z0-9+/]{43}=)")


class Sealed(Unavailable):
    """A secret that no key at hand opens."""


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of a file, in its order; the last one seals."""

    keys: Mapping[str, bytes]

    @property
    def newest(self) -> str:
        return list(self.keys)[-1]


@dataclass(frozen=True, slots=True)
class Vault:
    """The door to the keys. The file is read at each use: a key that came or went a moment ago is known."""

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> Vault:
        """The vault of this configuration: `[hub] secret_keys_file`, else a file below `data_dir`."""
        named = settings.hub.secret_keys_file
        return cls(Path(named) if named else settings.data_dir / "keys" / "secrets.keys")

    def ring(self) -> Ring:
        """Read the keys. Raises Unavailable that names the file."""
        try:
            text = self.path.read_text("ascii")
        except FileNotFoundError:
            raise Unavailable(
                "keys_missing", f"{self.path}: the file with the keys of the secrets is missing"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not a file of keys"
            raise Unavailable("keys_unreadable", f"{self.path}: {reason}") from None
        keys = {}
        for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
            if not (match := _LINE.fullmatch(line)):
                raise Unavailable("keys_unreadable", f"{self.path}: line {number} is no key")
            keys[match[1]] = base64.b64decode(match[2])
        if not keys:
            raise Unavailable("keys_unreadable", f"{self.path}: holds no key")
        return Ring(keys)

    def make_if_missing(self) -> bool:
        """Make a file with a first key where there is none; tell whether it was made. Raises ConfigError."""
        if self.path.exists():
            return False
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._write_aside(_line(*_new_key()))
            try:
                # Of two processes that make it at once, one links first, and the other takes what it finds.
                os.link(fresh, self.path)
            except FileExistsError:
                return False
            finally:
                fresh.unlink(missing_ok=True)
            _sync(self.path.parent)
        except OSError as error:
            raise ConfigError("keys_unwritable", f"{self.path}: {error.strerror}") from error
        return True

    def add_key(self) -> str:
        """Put a new key behind the others; it seals from now on. For who holds the lock alone. Returns its id."""
        key_id, key = _new_key()
        self._replace({**self.ring().keys, key_id: key})
        crash_points.point("vault.key_added")
        return key_id

    def drop_keys(self, but: str) -> None:
        """Take all keys but one out of the file. Only for who knows that no row needs them."""
        self._replace({but: self.ring().keys[but]})

    def readable_by_others(self) -> bool:
        """Tell whether anybody but the file's owner may read it."""
        return bool(stat.S_IMODE(self.path.stat().st_mode) & (stat.S_IRGRP | stat.S_IROTH))

    def _replace(self, keys: Mapping[str, bytes]) -> None:
        try:
            fresh = self._write_aside("".join(_line(key_id, key) for key_id, key in keys.items()))
            fresh.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            raise ConfigError("keys_unwritable", f"{self.path}: {error.strerror}") from error

    def _write_aside(self, text: str) -> Path:
        fresh = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return fresh

    async def seal(self, conn: AsyncConnection, secret: Secret | str, *, place: str) -> tuple[str, bytes]:
        """Return (key id, sealed bytes) for a row that is written in the transaction of `conn`."""
        # Held to the commit: no key may leave the file between the look at it and the row that needs it.
        await lock(conn, shared=True)
        self.make_if_missing()
        ring = self.ring()
        text = secret.reveal() if isinstance(secret, Secret) else secret
        return ring.newest, seal_with(ring.keys[ring.newest], text, place)

    def seal_in_passing(self, text: str, *, place: str) -> tuple[str, bytes]:
        """Seal what lies in no row and is of use for minutes only: a rotation may make it unreadable."""
        self.make_if_missing()
        ring = self.ring()
        return ring.newest, seal_with(ring.keys[ring.newest], text, place)

    def open(self, key_id: str, sealed: bytes, *, place: str) -> Secret:
        """Return what was sealed. Raises Sealed where no key opens it, Unavailable where the keys cannot be read."""
        key = self.ring().keys.get(key_id)
        if key is None:
            raise Sealed("secret_sealed", f"{place}: its key {key_id} is not in {self.path}")
        try:
            nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return Secret(AESGCM(key).decrypt(nonce, rest, place.encode()).decode())
        except (InvalidTag, ValueError, binascii.Error):
            raise Sealed("secret_sealed", f"{place}: the key {key_id} does not open it") from None


def seal_with(key: bytes, text: str, place: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text.encode(), place.encode())


async def lock(conn: AsyncConnection, *, shared: bool) -> None:
    """Hold the keys' lock until the transaction ends; SQLite's writers are one after another anyway."""
    if conn.dialect.name == "postgresql":
        name = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        await conn.execute(sa.text(f"SELECT {name}(:key)"), {"key": LOCK})


def _new_key() -> tuple[str, bytes]:
    return secrets.token_hex(4), AESGCM.generate_key(256)


def _line(key_id: str, key: bytes) -> str:
    return f"{key_id} {base64.b64encode(key).decode('ascii')}\n"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reply_key(settings: Settings) -> bytes:
    """Return the key by which Hub knows its own Message-IDs, 32 bytes, made on first need; every process has the same.

    It seals nothing and is never rotated: answers to old letters come for years. Raises ConfigError, Unavailable.
    """
    vault = Vault(settings.data_dir / "keys" / "replies.keys")
    vault.make_if_missing()
    return next(iter(vault.ring().keys.values()))
