"""Settling: what claims have done is collected in ledgers and written together, a few times a second.

One commit for all endpoints costs less than one for each event. What a kill leaves unwritten is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.clock import Clock
from dispatch.webhooks.ports import Observer, WebhookStore
from dispatch.webhooks.values import (
    Attempt,
    ClaimRelease,
    DeadLetter,
    LiveProgress,
    ReplayProgress,
    Settlement,
    Trouble,
    WebhookClaim,
)
from storage.errors import StorageError

FLUSH_S = 0.1
# Pause after a write that failed, doubling up to the maximum.
RETRY_S, RETRY_S_MAX = 0.1, 2.0
# A delivery waits when this many of its attempts are not written: Postgres is slow or away.
UNWRITTEN_MAX = 50


class ClaimLedger:
    """What one claim has done and not yet settled.

    Attributes:
        lost: the claim does not hold any more; nothing may be sent.
        leased_until: until when it holds, by the sender's clock.
    """

    def __init__(self, claim: WebhookClaim, asked: float, changed: asyncio.Event) -> None:
        self.claim = claim
        self._some_changed = changed
        self.reached = claim.reached
        self.trouble = claim.trouble
        self.lost = False
        self.leased_until = asked + claim.lease_s
        self.released: ClaimRelease | None = None
        self.disabled = ""
        self._step = 0
        self._changed = False
        self._live = False
        self._attempts: list[Attempt] = []
        self._dead: list[DeadLetter] = []
        self._gap: tuple[int, int] | None = None
        self._replay: ReplayProgress | None = None
        self._pinged: str | None = None
        self._written = asyncio.Event()

    def attempted(self, attempt: Attempt) -> None:
        """Record a request and its outcome."""
        self._attempts.append(attempt)
        self._change()

    def advance(self, reached: int, trouble: Trouble) -> None:
        """Set the cursor and the state of its stream."""
        if (reached, trouble) != (self.reached, self.trouble):
            self._change()
        self.reached, self.trouble, self._live = reached, trouble, True

    def bury(self, letter: DeadLetter) -> None:
        """Record an event that was refused for good."""
        self._dead.append(letter)
        self._change()

    def lose_events(self, first: int, last: int) -> None:
        """Record that the receiver has been told of a gap."""
        self._gap = (first, last)
        self._change()

    def disable(self, why: str) -> None:
        """End the endpoint."""
        self.disabled, self._live = why, True
        self._change()

    def replayed(self, progress: ReplayProgress) -> None:
        """Set how far the replay came."""
        self._replay = progress
        self._change()

    def pinged(self, ping: str) -> None:
        """Record that the test event was sent."""
        self._pinged = ping
        self._change()

    def release(self, due_s: float | None) -> None:
        """End the claim; `due_s`: when to send again, None: when an event comes."""
        self.released = ClaimRelease(due_s)
        self._change()

    def _change(self) -> None:
        self._changed = True
        self._some_changed.set()

    async def room(self) -> None:
        """Wait while too many attempts are not written."""
        while len(self._attempts) >= UNWRITTEN_MAX and not self.lost:
            self._written.clear()
            await self._written.wait()

    def take(self) -> Settlement | None:
        """What is to be written; None if nothing has changed."""
        if not self._changed or self.lost:
            return None
        self._step += 1
        live = self._live or (self.released is not None and self.claim.live)
        made = Settlement(
            self.claim.endpoint,
            self.claim.number,
            self._step,
            self.claim.version,
            self.claim.wakes,
            tuple(self._attempts),
            tuple(self._dead),
            LiveProgress(self.reached, self.trouble, self.disabled or None, self._gap) if live else None,
            self._replay,
            self._pinged,
            self.released,
        )
        self._attempts, self._dead, self._gap, self._changed = [], [], None, False
        return made

    def confirm(self, *, held: bool, leased_until: float) -> None:
        """Take in whether the claim held when it was written."""
        self.lost, self.leased_until = not held, leased_until
        self._written.set()


class Settling:
    """Writes the changes of all ledgers every FLUSH_S.

    Args:
        freed: called after a write that has ended claims.
    """

    def __init__(
        self, store: WebhookStore, clock: Clock, lease_s: float, observer: Observer, freed: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        self._observer = observer
        self._freed = freed
        self._ledgers: dict[int, ClaimLedger] = {}
        # Written once more, unchanged, when it is not known whether they were written.
        self._unsure: list[Settlement] = []
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def endpoints(self) -> frozenset[int]:
        """Endpoints whose claims have not ended here."""
        return frozenset(self._ledgers)

    def open(self, claim: WebhookClaim, asked: float) -> ClaimLedger:
        """Begin the ledger of a claim that was asked for at this time of the sender's clock."""
        before = self._ledgers.get(claim.endpoint)
        if before is not None:  # its lease has run out here
            before.confirm(held=False, leased_until=0.0)
        ledger = self._ledgers[claim.endpoint] = ClaimLedger(claim, asked, self._changed)
        return ledger

    def drop(self, ledger: ClaimLedger) -> None:
        """Forget a claim that was lost."""
        if self._ledgers.get(ledger.claim.endpoint) is ledger:
            del self._ledgers[ledger.claim.endpoint]

    async def run(self) -> None:
        """Write at most every FLUSH_S until cancelled; after a failure the same again, at longer intervals."""
        pause_s = RETRY_S
        while True:
            await self._changed.wait()
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
                pause_s = RETRY_S
            except StorageError as error:
                self._observer.failed("settle", error)
                self._changed.set()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)

    async def flush(self) -> None:
        """Write what has changed, in one call.

        Raises:
            StorageError: it is not known what was written; the next call repeats it.
        """
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        if not self._unsure:
            self._changed.clear()
            self._unsure = [made for one in self._ledgers.values() if (made := one.take()) is not None]
        if not self._unsure:
            return
        asked = self._clock.monotonic()
        held = await self._store.settle(self._unsure, self._lease_s)
        written, self._unsure = self._unsure, []
        for item in written:
            self._confirm(item, held=item.endpoint in held, leased_until=asked + self._lease_s)
        if any(item.release is not None for item in written):
            self._freed()

    def _confirm(self, item: Settlement, *, held: bool, leased_until: float) -> None:
        ledger = self._ledgers.get(item.endpoint)
        if ledger is None or ledger.claim.number != item.claim:
            return
        ledger.confirm(held=held, leased_until=leased_until)
        if item.release is not None or not held:
            self.drop(ledger)
        if item.live is not None and item.live.disable is not None and held:
            self._observer.ended(item.endpoint, item.live.disable)
