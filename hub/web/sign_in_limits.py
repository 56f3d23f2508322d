"""Limits of tries of a password: by account and network, by account alone, by network alone, by known device; and of
tries of a code of the second step, by person and password.

A stranger's wrong passwords hold up the stranger's network only; many networks together slow an account down for
every browser that it was never signed in with, and for no other. Whatever is counted is counted by the same form of
the e-mail that the account is looked up by. Invariants: no spelling of an e-mail has a count of its own, and no more
than `AT_ONCE` passwords (64 MiB each) are hashed at a time while few wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from math import ceil

from aiohttp import web

from hub.crm.people import AccountKey
from hub.errors import TooMany
from hub.store.attempts import Attempts, Limit, Try

BY_NETWORK = Limit("network", 60, timedelta(minutes=5))
BY_ACCOUNT_AND_NETWORK = Limit("account-network", 10, timedelta(minutes=15))
BY_ACCOUNT = Limit("account", 100, timedelta(hours=1))
"""More than two networks reach in an hour: one stranger alone cannot fill it."""
BY_DEVICE = Limit("device", 10, timedelta(minutes=5))

BY_CODE = Limit("code", 10, timedelta(minutes=15))
BY_CODE_IN_A_DAY = Limit("code-day", 50, timedelta(days=1))
"""With three codes that fit at any moment, whoever knows the password guesses one in a year by a chance of 5 %."""

AT_ONCE = 2
MAY_WAIT = 30
KEPT_FOR_KNOWN = 10
"""Of those that may wait, places that only known devices take: a flood of strangers leaves them free."""


class SignInLimits:
    """The bounds for trying passwords."""

    def __init__(self, attempts: Attempts) -> None:
        self.attempts = attempts
        self.waiting = 0
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def count(self, account: AccountKey, network: str, *, device: str | None) -> Try:
        """Count a try before it is made. `device` is a known one's digest. Raises TooMany, Unavailable."""
        counts: list[tuple[Limit, str]]
        if device is not None:
            counts = [(BY_DEVICE, device)]
        else:
            counts = [(BY_NETWORK, network)]
            if account:
                counts += [(BY_ACCOUNT_AND_NETWORK, f"{account} {network}"), (BY_ACCOUNT, account)]
        return await self._take(Try(tuple(counts)))

    async def _take(self, one: Try) -> Try:
        if (wait_s := await self.attempts.take(one)) > 0:
            raise TooMany("too_many_tries", "too many tries", retry_after_s=ceil(wait_s))
        return one

    async def forgive(self, one: Try) -> None:
        """A try was right: it does not count, and what went before it from there is forgotten."""
        await self.attempts.give_back(one)
        for limit, key in one.counts:
            if limit in (BY_ACCOUNT_AND_NETWORK, BY_DEVICE, BY_CODE):
                await self.attempts.forget(limit, key)

    async def count_code(self, user_id: int, password: str) -> Try:
        """Count a try of a code before it is made; a new password begins anew. Raises TooMany, Unavailable.

        `password` is a digest of the password's hash. Forgive it as any other try.
        """
        key = f"{user_id} {password}"
        return await self._take(Try(((BY_CODE, key), (BY_CODE_IN_A_DAY, key))))

    @contextlib.asynccontextmanager
    async def turn(self, *, known: bool) -> AsyncIterator[None]:
        """Wait for a turn to hash a password. Raises TooMany at once where too many wait already."""
        if self.waiting >= (MAY_WAIT if known else MAY_WAIT - KEPT_FOR_KNOWN):
            raise TooMany("too_many_tries", "too many people are signing in", retry_after_s=5)
        self.waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self.waiting -= 1


LIMITS: web.AppKey[SignInLimits] = web.AppKey("sign_in_limits", SignInLimits)
