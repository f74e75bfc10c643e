"""Password hashing with Argon2id in a thread.

A hash takes 40 ms of one core by design (OWASP: 19 MiB, 2 passes, 1 lane), so hashing runs on one thread with short
queues: a burst of logins waits or is refused, and dispatch goes on. Each rank has a queue, so that a flood of unknown
clients takes no place from known ones. Each fourth turn goes to the last rank, so that no client waits for ever.
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

# Ranks of waiting clients: with a token, or at an account from a network where it was used before; from a network
# where other accounts have logged in before; all others.
FAMILIAR_RANK, NEIGHBOUR_RANK, STRANGER_RANK = range(3)
# Queue length of each rank. At 40 ms each, all sixty are answered within three seconds.
WAITING_MAX = 20
# One turn in this many goes to the last rank that waits.
LAST_TURN = 4


class Passwords:
    """Hashes and verifies passwords. `close` ends the thread."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._thread = ThreadPoolExecutor(1, "argon2")
        self._lines: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque(), deque())
        self._busy = False
        self._anonymous = 0
        self._turns = 0
        # Verified against for a missing account, so that the answer takes equally long.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str, rank: int = FAMILIAR_RANK) -> str:
        """Hash a password in the encoded form.

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
        """A stronger hash of a verified password, when the stored one took less effort than today's.

        None when the stored one is good as it is, or when the queue is full.
        """
        if not self._hasher.check_needs_rehash(encoded):
            return None
        try:
            return await self.hash(password)
        except Overloaded:
            return None  # the next login can do it

    def _fits(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Reserve a place for an unknown client before the database is queried, to protect that from a flood, too.

        Raises:
            Overloaded: all places are taken.
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
        """Wait for our turn."""
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
                self._pass_on()  # the turn was given already
            raise

    def _pass_on(self) -> None:
        """Give the turn to the first of the lowest rank that waits, or, one time in LAST_TURN, of the highest."""
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
