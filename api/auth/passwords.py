"""Argon2id off the loop.

A hash takes 40 ms of one core by design (OWASP: 19 MiB, 2 passes, 1 lane), so it runs on one thread with
short queues: a burst of logins may wait or be refused, dispatch goes on. There is a queue for each rank, so that a
crowd of strangers takes no place from those who have been here before; and each fourth turn is the last rank's, so
that nobody waits for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from actors.errors import Overloaded

T = TypeVar("T")

# Who waits: somebody with a token, or at an account from a network where it was used before; somebody else of a
# network where people have logged in before; anybody.
FAMILIAR_RANK, NEIGHBOUR_RANK, STRANGER_RANK = range(3)
# Places of each rank. At 40 ms each, all sixty are answered within three seconds.
WAITING_MAX = 20
# One turn in so many goes to the last rank that waits.
LAST_TURN = 4


class Passwords:
    """Hashes and verifies. `close` ends the thread."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._thread = ThreadPoolExecutor(1, "argon2")
        self._lines: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque(), deque())
        self._busy = False
        self._anonymous = 0
        self._turns = 0
        # Verified against when there is no such account, so that an answer takes equally long.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str, rank: int = FAMILIAR_RANK) -> str:
        """The encoded hash.

        Raises:
            Overloaded: too many of this rank are waiting.
        """
        return await self._run(rank, lambda: str(self._hasher.hash(password)))

    async def verify(self, encoded: str | None, password: str, rank: int = FAMILIAR_RANK) -> bool:
        """True when the password fits; None stands for an account that does not exist or has none.

        Raises:
            Overloaded: too many of this rank are waiting.
        """
        fits = await self._run(rank, lambda: self._fits(encoded or self._nobody, password))
        return fits and encoded is not None

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

    @contextmanager
    def place(self) -> Iterator[None]:
        """A stranger takes a place before the database is asked about him, so that a crowd does not take that either.

        Raises:
            Overloaded: there is none.
        """
        if self._anonymous > WAITING_MAX:
            raise Overloaded("too many logins are waiting")
        self._anonymous += 1
        try:
            yield
        finally:
            self._anonymous -= 1

    async def _run(self, rank: int, work: Callable[[], T]) -> T:
        if self._busy:
            await self._wait(self._lines[rank])
        self._busy = True
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._pass_on()

    async def _wait(self, line: deque[asyncio.Future[None]]) -> None:
        """Return when it is our turn."""
        if len(line) >= WAITING_MAX:
            raise Overloaded("too many logins are waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in line:
                line.remove(turn)
            elif not turn.cancelled():
                self._pass_on()  # the turn was ours already
            raise

    def _pass_on(self) -> None:
        """The turn is the first one's of the lowest rank that waits, or, now and then, of the highest."""
        self._turns += 1
        lines = self._lines if self._turns % LAST_TURN else reversed(self._lines)
        self._busy = False
        for line in lines:
            while line:
                turn = line.popleft()
                if not turn.done():
                    self._busy = True
                    turn.set_result(None)
                    return

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
