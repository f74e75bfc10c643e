"""Virtual users who write down every answer they get: the workload of crash test and chaos.

They insist: a command whose outcome is not known is repeated under its key until it is. Sometimes a user
gives up on an answer that promises no effect, repeats what was done already, or leaves the key out; all of
that must come out right as well.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, NamedTuple

import aiohttp

from loadtests.faults.history import (
    NOT_PROCESSED,
    OK,
    REFUSED,
    UNKNOWN,
    UNPROMISED,
    Answer,
    History,
    Intent,
    Read,
)
from loadtests.kit.client import Mall
from loadtests.kit.fixtures import Zone, number_of, order_body

# How often a user gives up after "not processed", repeats after success, leaves the key out.
GIVE_UP, AGAIN, KEYLESS = 0.1, 0.05, 0.05
# Pause before a repetition, in seconds: longer than the checker's slack for clocks.
PAUSE_S = (0.15, 0.5)
# Orders of a zone that are not finished; beyond it customers wait.
LIVE_MAX = 60
OWN_ORDERS_MAX = 30
PATHS = {
    "accept": "acceptance", "decline": "decline", "pickup": "pickup", "delivery": "delivery",
    "failure": "failure", "cancel": "cancellation", "release": "release",
}  # fmt: skip
# Problems that tell nothing about the outcome.
_UNKNOWN_CODES = frozenset({"outcome_unknown", "internal", "request_in_flight"})


class AttemptResult(NamedTuple):
    """What one attempt came to."""

    outcome: str
    code: str
    order: int | None = None
    version: int | None = None


def result_of_response(status: int, body: dict[str, Any]) -> AttemptResult:
    """What an HTTP answer says."""
    code = str(body.get("code"))
    if status < 300:
        order = body.get("order_id") or body["id"]
        number = number_of(order) if order.startswith("ord_") else None
        return AttemptResult(OK, body.get("result", "created"), number, body.get("version"))
    if status == 429 or (status == 503 and body.get("not_processed") is True):
        return AttemptResult(NOT_PROCESSED, code)
    if status == 503:
        return AttemptResult(UNKNOWN, UNPROMISED)
    if status >= 500 or code in _UNKNOWN_CODES:
        return AttemptResult(UNKNOWN, code)
    return AttemptResult(REFUSED, code)


@dataclass(slots=True)
class Workload:
    """What all users share.

    Attributes:
        live: by zone, orders that somebody believes to be unfinished.
        won: orders that were won a moment ago, for the administrator to release.
        closing: nothing new is begun, everything begun is finished.
        over: all users end.
        late_s: wall seconds after which no user insists any more.
    """

    history: History = field(default_factory=History)
    live: dict[int, set[int]] = field(default_factory=dict)
    won: deque[int] = field(default_factory=lambda: deque(maxlen=50))
    closing: bool = False
    over: bool = False
    late_s: float = float("inf")

    def finished(self, zone: int, order: int) -> None:
        """Make room for the next order."""
        self.live[zone].discard(order)


class VirtualUser(ABC):
    """One caller. `who` is its name in an order's history."""

    def __init__(self, workload: Workload, mall: Mall, who: str, seed: str) -> None:
        self.workload = workload
        self.mall = mall
        self.who = who
        self.chance = random.Random(f"{seed}/{who}")

    @abstractmethod
    async def run(self) -> None:
        """Use the mall until it closes."""

    def intend(self, kind: str, order: int | None = None) -> Intent:
        """Something this caller wants, under a key of its own, in the history from now on."""
        intent = Intent(kind, self.who, f"{kind}-{self.who}-{self.chance.getrandbits(64):016x}", order)
        self.workload.history.intents.append(intent)
        return intent

    async def insist(
        self,
        intents: Sequence[Intent],
        attempt: Callable[[], Awaitable[Sequence[AttemptResult]]],
        *,
        once: bool = False,
        must: bool = False,
    ) -> None:
        """Repeat an attempt until its outcome is known, and write every answer down.

        Args:
            intents: what one attempt carries out.
            attempt: answers for each intent.
            once: do not repeat: there is no key.
            must: never give up.
        """
        repeated = False
        while True:
            began_s = time()
            for intent, heard in zip(intents, await attempt(), strict=True):
                intent.answers.append(
                    Answer(heard.outcome, heard.code, began_s, time(), heard.order, heard.version)
                )
            known = all(intent.answers[-1].outcome in (OK, REFUSED) for intent in intents)
            if once or self.workload.late_s < time():
                return
            if known and not self._again(intents, repeated):
                return
            repeated = repeated or known
            if not known:
                if not must and self._gives_up(intents):
                    return
                await asyncio.sleep(self.chance.uniform(*PAUSE_S))

    def _again(self, intents: Sequence[Intent], repeated: bool) -> bool:
        succeeded = all(intent.answers[-1].outcome == OK for intent in intents)
        return succeeded and not repeated and self.chance.random() < AGAIN

    def _gives_up(self, intents: Sequence[Intent]) -> bool:
        """Only where every answer promised that nothing has happened, so that it can be held to it."""
        answers = [answer for intent in intents for answer in intent.answers]
        promised = all(a.outcome == NOT_PROCESSED and a.code != "not_connected" for a in answers)
        return promised and not self.workload.closing and self.chance.random() < GIVE_UP

    async def by_rest(self, path: str, body: dict[str, Any], key: str | None) -> list[AttemptResult]:
        """One attempt over REST."""
        try:
            status, answer, _ = await self.mall.call("POST", f"/api/v2/{path}", body, key=key)
        except aiohttp.ClientConnectorError:
            return [AttemptResult(NOT_PROCESSED, "not_connected")]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return [AttemptResult(UNKNOWN, type(error).__name__)]
        return [result_of_response(status, answer)]

    async def command(self, intent: Intent, body: dict[str, Any], *, must: bool = False) -> None:
        """Carry out a command on an order over REST, now and then without a key."""
        path = f"orders/ord_{intent.order}/{PATHS[intent.kind]}"
        once = not must and self.chance.random() < KEYLESS
        key = None if once else intent.key
        await self.insist([intent], lambda: self.by_rest(path, body, key), once=once, must=must)


class CustomerUser(VirtualUser):
    """Orders, looks, sometimes cancels."""

    def __init__(self, workload: Workload, mall: Mall, who: str, seed: str, zone: Zone) -> None:
        super().__init__(workload, mall, who, seed)
        self.zone = zone
        self._own: deque[int] = deque(maxlen=OWN_ORDERS_MAX)

    async def run(self) -> None:
        """Until the mall closes."""
        live = self.workload.live[self.zone.number]
        while not self.workload.closing:
            await asyncio.sleep(self.chance.uniform(0.01, 0.08))
            roll = self.chance.random()
            if self._own and roll < 0.15:
                await self._look(self.chance.choice(self._own))
            elif self._own and roll < 0.25:
                await self._cancel(self.chance.choice(self._own))
            elif len(live) < LIVE_MAX:
                await self._place()

    async def _place(self) -> None:
        intent = self.intend("create")
        body = order_body(self.zone.products, self.chance.randint(1, 3), intent.key)
        await self.insist([intent], lambda: self.by_rest("orders", body, intent.key))
        if intent.acked:
            order = intent.order = intent.acked[0].order
            assert order is not None
            self._own.append(order)
            self.workload.live[self.zone.number].add(order)

    async def _cancel(self, order: int) -> None:
        self._own.remove(order)
        intent = self.intend("cancel", order)
        await self.command(intent, {"reason": intent.key})
        if intent.acked:
            self.workload.finished(self.zone.number, order)

    async def _look(self, order: int) -> None:
        began_s = time()
        try:
            status, answer, _ = await self.mall.call("GET", f"/api/v2/orders/ord_{order}")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        if status == 200:
            self.workload.history.reads.append(Read(order, answer["version"], began_s))
        elif status == 404:  # an order that was acknowledged
            self.workload.history.reads.append(Read(order, 0, began_s))


class AdminUser(VirtualUser):
    """An administrator: takes orders back from drivers, and adds products, which knows no keys."""

    def __init__(self, workload: Workload, mall: Mall, who: str, seed: str, store: str) -> None:
        super().__init__(workload, mall, who, seed)
        self._store = store

    async def run(self) -> None:
        """Until the mall closes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._release())
            tasks.create_task(self._stock_up())

    async def _release(self) -> None:
        while not self.workload.closing:
            await asyncio.sleep(self.chance.uniform(0.1, 0.6))
            if self.workload.won:
                intent = self.intend("release", self.workload.won.pop())
                await self.command(intent, {"reason": intent.key})

    async def _stock_up(self) -> None:
        while not self.workload.closing:
            await asyncio.sleep(self.chance.uniform(0.01, 0.05))
            intent = self.intend("product")
            price = {"amount_minor": 100, "currency": "EUR"}
            body = {"store_id": self._store, "name": intent.key, "price": price}
            await self.insist([intent], lambda body=body: self.by_rest("products", body, None), once=True)  # type: ignore[misc]
