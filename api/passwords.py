"""Argon2id off the loop.

A hash takes 40 ms of one core by design (OWASP: 19 MiB, 2 passes, 1 lane), so it runs on one thread with
a short queue: a burst of logins may wait or be refused, dispatch goes on.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from actors.errors import Overloaded

# At 40 ms each, twenty waiting logins are answered within a second.
WAITING_MAX = 20


class Passwords:
    """Hashes and verifies. `close` ends the thread."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._thread = ThreadPoolExecutor(1, "argon2")
        self._waiting = 0
        # Verified against when there is no such account, so that an answer takes equally long.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The encoded hash.

        Raises:
            Overloaded: too many are waiting.
        """
        return str(await self._run(self._hasher.hash, password))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """True when the password fits; None stands for an account that does not exist or has none."""
        fits = await self._run(self._fits, encoded or self._nobody, password)
        return bool(fits) and encoded is not None

    async def stronger(self, encoded: str, password: str) -> str | None:
        """The hash of a password that fits, anew, when the one that is stored was made with less effort than
        today's; None when it is good as it is, or when there is too much to do at the moment.
        """
        if not self._hasher.check_needs_rehash(encoded):
            return None
        try:
            return await self.hash(password)
        except Overloaded:
            return None  # the next login is as good

    def _fits(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: object, *args: str) -> object:
        if self._waiting >= WAITING_MAX:
            raise Overloaded("too many logins are waiting")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, work, *args)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
