"""Many drivers for one order, one driver for many orders.

    python -m loadtests.faults.race [--orders 1000] [--drivers 100] [--url http://127.0.0.1:8080]

Part one: every driver accepts the same order at once, half of them over the feed and half over REST, for
order after order. Exactly one may win, every other is told why, and the database and the order's history
agree with what the winner was told. Winners deliver at once, so that no driver ever runs full.
Part two: one driver accepts fifty open orders at once; exactly as many as it has slots are won.

Without --url a server of its own is started in a folder that is deleted afterwards. With it, users are
minted into the database of this environment (DATABASE_URL or MALL_DATA_DIR), which must be that server's;
it must run with MALL_RATE_LIMITS=off.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import aiohttp

from loadtests.kit.client import Mall, Phone, open_http
from loadtests.kit.fixtures import (
    MintedUser,
    database_url,
    number_of,
    order_body,
)
from loadtests.kit.protocol import LOSING
from loadtests.kit.report import quantile
from loadtests.kit.server import ServerProcess, server_at
from loadtests.kit.setup import Setup, mint_on, unique_tag
from loadtests.kit.stores import Connection, connect
from loadtests.kit.tool import make_parser, run_tool

# A socket may send 50 frames a second: one acceptance a round, and what the winner sends.
ROUND_S_MIN = 0.025
# A frame needs less time to the server than a request, so in some rounds the feed half starts this many
# seconds later: then either half may win.
LAGS_S = (0.0, 0.0, 0.001)
CAPACITY = 20
CAPACITIES = (1, 2, 3, 4, 5)
GREEDY_ORDERS = 50
# Of the fifty: 25 by REST, 15 as frames of their own (a socket works on 16 at once), the rest
# in one more frame.
GREEDY_REST, GREEDY_FRAMES = 25, 15
VIOLATIONS_SHOWN = 20


@dataclass(slots=True)
class RaceReport:
    """What happened; `seconds` holds the time of each decision."""

    orders: int = 0
    winners: Counter[str] = field(default_factory=Counter)
    losers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    took_s: float = 0.0
    greedy: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.violations

    def want(self, holds: bool, what: str) -> None:
        """Write a violation down unless it holds."""
        if not holds:
            self.violations.append(what)

    def lines(self) -> list[str]:
        """For people."""
        rate = len(self.seconds) / self.took_s if self.took_s else 0.0
        ordered = sorted(self.seconds)
        shown = self.violations[:VIOLATIONS_SHOWN]
        return [
            f"orders      {self.orders}",
            f"decisions   {len(self.seconds)} in {self.took_s:.1f} s ({rate:.0f}/s)",
            f"winners     {self.winners.total()} ({_counts(self.winners)})",
            f"losers      {self.losers.total()} ({_counts(self.losers)})",
            f"a decision  p50 {1000 * quantile(ordered, 0.5):.1f} ms, "
            f"p99 {1000 * quantile(ordered, 0.99):.1f} ms",
            *(f"one for all {line}" for line in self.greedy),
            f"violations  {len(self.violations)}",
            *(f"  {violation}" for violation in shown),
        ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"


class Racer:
    """A driver that accepts over its feed, or over REST when it has no phone."""

    _keys = itertools.count(1)

    def __init__(self, person: MintedUser, mall: Mall, phone: Phone | None) -> None:
        self.person = person
        self.mall = mall
        self.phone = phone
        self.via = "rest" if phone is None else "feed"

    def _key(self) -> str:
        return f"race-{self.person.number:08d}-{next(self._keys):08d}"

    async def by_rest(self, order: str, command: str) -> str:
        """Send a command on an order; returns its result, or the code of the problem."""
        path = f"/api/v2/orders/{order}/{command}"
        _, answer, _ = await self.mall.call("POST", path, {}, key=self._key())
        return str(answer.get("result") or answer.get("code"))

    async def by_feed(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a command on the socket; returns the reply or error frame."""
        assert self.phone is not None
        return await self.phone.ask({**frame, "key": self._key()}, wait_s=10.0)

    async def accept_frame(self, orders: Sequence[str]) -> list[str]:
        """Accept orders by one frame; a result for each."""
        answer = await self.by_feed({"t": "offer.accept", "orders": list(orders)})
        if answer["t"] == "error":
            return [f"error {answer['code']}"] * len(orders)
        return [str(result["result"]) for result in answer["results"]]

    async def accept(self, order: str) -> str:
        """Accept one order, by this driver's own way."""
        if self.phone is None:
            return await self.by_rest(order, "acceptance")
        return (await self.accept_frame([order]))[0]

    async def deliver(self, order: str) -> list[str]:
        """Pick up and deliver."""
        if self.phone is None:
            return [await self.by_rest(order, "pickup"), await self.by_rest(order, "delivery")]
        frames = [{"t": t, "order_id": order} for t in ("order.pickup", "order.delivery")]
        answers = [await self.by_feed(frame) for frame in frames]
        return [str(answer.get("result", answer.get("code"))) for answer in answers]


class RaceRun(Setup):
    """One customer, one administrator, a zone, and what is found out."""

    def __init__(
        self, server: ServerProcess, http: aiohttp.ClientSession, database: Connection, seed: int
    ) -> None:
        super().__init__(Mall(http, server.url), mint_on(server), unique_tag("race"), seed)
        self.database = database
        self.report = RaceReport()

    async def open(self) -> None:
        """Zone and users, but for the drivers."""
        await self.enroll_admin()
        [customer] = await self.mint("customer", 1)
        self.customer = self.mall.as_(customer.token)
        self.zone = await self.open_zone("open")

    async def place(self) -> str:
        """A new open order's id."""
        body = order_body(self.zone.products)
        made = await self.customer.do("POST", "/api/v2/orders", body, key=self.key())
        return str(made["id"])

    async def decide(self, racer: Racer, order: str, told: dict[int, str], lag_s: float) -> None:
        """One driver's acceptance and what it is told."""
        if racer.phone is not None:
            await asyncio.sleep(lag_s)
        began = perf_counter()
        try:
            code = await racer.accept(order)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            code = f"no answer: {type(error).__name__}"
        self.report.seconds.append(perf_counter() - began)
        told[racer.person.number] = code

    async def round(self, racers: Sequence[Racer], order: str) -> None:
        """All accept at once, in another order each time; the winner delivers."""
        told: dict[int, str] = {}
        line, lag_s = list(racers), self.chance.choice(LAGS_S)
        self.chance.shuffle(line)
        async with asyncio.TaskGroup() as tasks:
            for racer in line:
                tasks.create_task(self.decide(racer, order, told, lag_s))
        winners = [racer for racer in racers if told[racer.person.number] == "won"]
        for code in told.values():
            if code != "won":
                self.report.losers[code] += 1
                self.report.want(code in LOSING, f"{order}: a loser was told {code!r}")
        self.report.orders += 1
        self.report.want(len(winners) == 1, f"{order}: {len(winners)} winners")
        for racer in winners:
            self.report.winners[racer.via] += 1
            await self._verify(order, racer)

    async def _verify(self, order: str, winner: Racer) -> None:
        """Database and history say the same; then the winner makes room for its next."""
        held = await self.database.fetch(
            "SELECT o.driver_id, a.driver_id AS holder, a.slot FROM orders o LEFT JOIN assignment a"
            " ON a.order_id = o.id WHERE o.id = $1",
            number_of(order),
        )
        rows = [(row["driver_id"], row["holder"]) for row in held]
        number = winner.person.number
        self.report.want(rows == [(number, number)], f"{order}: {number} was told it won, not {rows}")
        events = (await self.admin.do("GET", f"/api/v2/orders/{order}/events?limit=1000"))["items"]
        assigned = [event["by"]["id"] for event in events if event["type"] == "assigned"]
        self.report.want(assigned == [f"drv_{number}"], f"{order}: the history has assigned to {assigned}")
        results = await winner.deliver(order)
        self.report.want(results == ["picked_up", "delivered"], f"{order}: the winner was told {results}")

    async def run(self, racers: Sequence[Racer], orders: int) -> None:
        """Part one: order after order."""
        began = perf_counter()
        for _ in range(orders):
            round_began = perf_counter()
            await self.round(racers, await self.place())
            await asyncio.sleep(max(0.0, ROUND_S_MIN - (perf_counter() - round_began)))
        self.report.took_s = perf_counter() - began

    async def greed(self, racer: Racer, capacity: int) -> None:
        """Part two: one driver with `capacity` slots accepts many orders, all at once and both ways."""
        orders = [await self.place() for _ in range(GREEDY_ORDERS)]
        told: list[tuple[str, str]] = []

        async def one(order: str) -> None:
            told.append((order, await racer.by_rest(order, "acceptance")))

        async def several(some: Sequence[str]) -> None:
            told.extend(zip(some, await racer.accept_frame(some), strict=True))

        alone = orders[GREEDY_REST : GREEDY_REST + GREEDY_FRAMES]
        async with asyncio.TaskGroup() as tasks:
            for order in orders[:GREEDY_REST]:
                tasks.create_task(one(order))
            for order in alone:
                tasks.create_task(several([order]))
            tasks.create_task(several(orders[GREEDY_REST + GREEDY_FRAMES :]))
        codes = Counter(code for _, code in told)
        wanted = {"won": capacity, "driver_busy": len(orders) - capacity}
        self.report.want(codes == wanted, f"capacity {capacity}: told {dict(codes)}")
        await self._count_held(racer, capacity, {number_of(order) for order, code in told if code == "won"})
        self.report.greedy.append(f"capacity {capacity}, {len(orders)} orders: {_counts(codes)}")
        await self._clear(racer, told)

    async def _count_held(self, racer: Racer, capacity: int, won: set[int]) -> None:
        rows = await self.database.fetch(
            "SELECT order_id, slot FROM assignment WHERE driver_id = $1", racer.person.number
        )
        held = {row["order_id"] for row in rows}
        slots = sorted(row["slot"] for row in rows)
        self.report.want(held == won, f"capacity {capacity}: told {sorted(won)}, holds {sorted(held)}")
        self.report.want(slots == list(range(capacity)), f"capacity {capacity}: slots {slots}")

    async def _clear(self, racer: Racer, told: Sequence[tuple[str, str]]) -> None:
        """Leave nothing open behind."""
        for order, code in told:
            if code == "won":
                await racer.deliver(order)
            else:
                await self.customer.do(
                    "POST", f"/api/v2/orders/{order}/cancellation", {"reason": "race over"}
                )


@asynccontextmanager
async def _racers(
    mall: Mall, people: Sequence[MintedUser], feeds: int, report: RaceReport
) -> AsyncIterator[list[Racer]]:
    """Drivers online, the first `feeds` of them with a socket."""
    async with AsyncExitStack() as sockets:
        racers = []
        for index, person in enumerate(people):
            own = mall.as_(person.token)
            await own.do("PUT", "/api/v2/drivers/me/availability", {"status": "online"})
            phone = await sockets.enter_async_context(Phone(own).connected()) if index < feeds else None
            racers.append(Racer(person, own, phone))
        yield racers
        for racer in racers:
            if racer.phone is not None:
                report.want(
                    not racer.phone.position.faults,
                    f"feed of {racer.person.number}: {racer.phone.position.faults}",
                )


async def race(
    server: ServerProcess,
    *,
    orders: int = 1000,
    drivers: int = 100,
    capacities: Sequence[int] = CAPACITIES,
    seed: int = 1,
) -> RaceReport:
    """Both parts against a running server; the report says what was broken, if anything."""
    http_size = drivers + GREEDY_ORDERS + 10
    async with open_http(http_size) as http, connect(database_url(server)) as database:
        run = RaceRun(server, http, database, seed)
        await run.open()
        people = await run.mint("driver", drivers, run.zone, CAPACITY)
        async with _racers(run.mall, people, drivers // 2, run.report) as racers:
            await run.run(racers, orders)
        for capacity in capacities:
            people = await run.mint("driver", 1, run.zone, capacity)
            async with _racers(run.mall, people, 1, run.report) as racers:
                await run.greed(racers[0], capacity)
    return run.report


async def run_race(options: argparse.Namespace) -> RaceReport:
    """As the options say: against a server that runs, or against one of our own."""
    async with server_at(options.url, "race") as server:
        return await race(server, orders=options.orders, drivers=options.drivers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Race, print the report; 1 on any violation."""
    parser = make_parser("loadtests.faults.race", __doc__, json=False)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--drivers", type=int, default=100)
    parser.add_argument("--url", help="a running server; default: one of our own")
    return run_tool(run_race(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
