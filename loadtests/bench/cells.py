"""What is measured: one operation against one peer at one width, and how many drivers want the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.bench.flames import profiled
from loadtests.bench.setup import CAPACITY, BenchSetup, Peer
from loadtests.kit.closed_loop import Answers, FeedJob, FeedLoop, RestLoop
from loadtests.kit.fixtures import MintedUser, Zone
from loadtests.kit.process_usage import Usage
from loadtests.kit.protocol import FEED_PATH
from loadtests.kit.report import quantile
from loadtests.kit.wire import FeedWire, open_wires, request_bytes

ZONES = 16
# REST drivers of a zone: with capacity 20 and 16 zones they can win 32,000 orders in one cell.
DRIVERS = 100
# Sockets of the feed: they win 20 orders each, then hand them back outside of the measurement, and so on.
SOCKETS = 256
# A little more than any peer answers in a second: jobs are made before the clock starts.
RATE_MAX = {"a": 1500, "b": 6500, "c": 11000, "d": 30000, "e": 6000, "f": 1500}
WARM_S = 0.4
# Different orders that are read.
READABLE = 2000


@dataclass(frozen=True, slots=True)
class BenchCase:
    """`rivals` drivers want each order; `width` requests are in flight."""

    operation: str
    rivals: int
    width: int


@dataclass(frozen=True, slots=True)
class BenchMeasure:
    """What came out. `won` counts successes: orders won, created or read."""

    peer: str
    cell: BenchCase
    answered: int
    won: int
    failed: int
    took_s: float
    p50_ms: float
    p99_ms: float
    usage: Usage

    @property
    def per_s(self) -> float:
        return self.answered / self.took_s if self.took_s else 0.0

    @property
    def won_per_s(self) -> float:
        return self.won / self.took_s if self.took_s else 0.0


class Bench:
    """Measures cases on a setup, `seconds` each."""

    def __init__(self, setup: BenchSetup, seconds: float, flames: Path | None = None) -> None:
        self._setup = setup
        self._seconds = seconds
        self._flames = flames
        self._readable: dict[str, list[str]] = {}
        self._peer_drivers: list[MintedUser] = []

    async def measure(self, peer: Peer, cell: BenchCase) -> BenchMeasure:
        """One cell."""
        if cell.operation == "accept" and peer.letter == "c":
            return await self._feed(peer, cell)
        jobs = await self._jobs(peer, cell)
        warm = min(len(jobs) // 4, int(RATE_MAX[peer.letter] * WARM_S))
        async with open_wires([peer.url], cell.width) as wires:
            first = RestLoop(wires, jobs[:warm], WARM_S)
            await first.run()
            second = RestLoop(wires, jobs[first.used :], self._seconds)
            async with profiled(peer.pid, self._flames):
                before = self._usage(peer)
                answers = await second.run()
                used = self._usage(peer).since(before)
        return _measured(peer, cell, answers, used)

    def _usage(self, peer: Peer) -> Usage:
        return Usage.now(peer.pid, self._setup.postgres_pid)

    # -- requests over REST -------------------------------------------------------------------

    async def _jobs(self, peer: Peer, cell: BenchCase) -> list[bytes]:
        count = int(RATE_MAX[peer.letter] * (self._seconds + WARM_S))
        if cell.operation == "create":
            return await self._creations(peer, count)
        if cell.operation == "read":
            return await self._reads(peer, count)
        return await self._acceptances(peer, cell, count)

    async def _creations(self, peer: Peer, count: int) -> list[bytes]:
        customers = self._setup.customers
        jobs = self._setup.creations(self._setup.products, min(count, 12_000), customers)
        if peer.letter == "d":
            return [job.replace(b"/api/v2/", b"/bare/", 1) for job in jobs]
        await self._setup.warm_tokens(peer, customers)
        return jobs

    async def _reads(self, peer: Peer, count: int) -> list[bytes]:
        """Orders of one customer, over and over: 2,000 different ones."""
        customer = self._setup.customers[0]
        if peer.letter not in self._readable:
            self._readable[peer.letter] = await self._place_readable(peer, customer)
        orders = self._readable[peer.letter]
        distinct = [request_bytes("GET", f"{peer.prefix}/orders/{order}", token=customer) for order in orders]
        return [distinct[index % len(distinct)] for index in range(count)]

    async def _place_readable(self, peer: Peer, customer: str) -> list[str]:
        if peer.letter == "d":
            return ["ord_1"]
        return await self._setup.place_orders(self._setup.products, READABLE, [peer.url], [customer])

    async def _acceptances(self, peer: Peer, cell: BenchCase, count: int) -> list[bytes]:
        if peer.letter == "b":
            return await self.acceptances(cell.rivals, count)
        drivers = await self._drivers()
        orders = ["ord_1"] * count
        if peer.letter != "d":
            await self._setup.warm_tokens(peer, [driver.token for driver in drivers])
            orders = await self._setup.place_in_peer(peer, count // cell.rivals)
        rivals = _rivals(drivers, cell.rivals)
        accept = self._setup.acceptance
        jobs = [accept(order, driver, peer.prefix) for order in orders for driver in next(rivals)]
        return jobs[:count]

    async def _drivers(self) -> list[MintedUser]:
        """The peers have no zones and no capacity: one set of drivers will do."""
        if not self._peer_drivers:
            _, self._peer_drivers = await self._setup.open_drivers(ZONES * DRIVERS)
        return self._peer_drivers

    async def acceptances(self, rivals: int, count: int) -> list[bytes]:
        """Fresh zones, drivers and orders for each cell, for here every slot counts."""
        peer, per_zone = self._setup.peers["b"], min(DRIVERS * CAPACITY, count // ZONES)
        columns = []
        for _ in range(ZONES):
            zone, drivers = await self._setup.open_drivers(DRIVERS)
            await self._setup.warm_tokens(peer, [driver.token for driver in drivers])
            orders = await self._setup.place(zone, per_zone // rivals)
            columns.append((orders, _rivals(drivers, rivals)))
        jobs = []
        for index in range(per_zone // rivals):
            for orders, turns in columns:
                jobs += [self._setup.acceptance(orders[index], driver) for driver in next(turns)]
        return jobs

    # -- commands over the feed ---------------------------------------------------------------

    async def _feed(self, peer: Peer, cell: BenchCase) -> BenchMeasure:
        """Bursts: every socket wins what it can carry, hands it back uncounted, and so on."""
        zones = ZONES if cell.rivals <= 10 else 2
        groups = [await self._setup.open_drivers(SOCKETS // zones) for _ in range(zones)]
        sockets = await self._connect([driver for _, drivers in groups for driver in drivers])
        total, usage = Answers(), Usage(0.0, 0.0, 0.0)
        try:
            while total.took_s < self._seconds:
                jobs = await self._burst(groups, cell.rivals)
                loop = FeedLoop(sockets, jobs, cell.width)
                # Of a profile the last burst remains.
                async with profiled(peer.pid, self._flames):
                    before = self._usage(peer)
                    total.add(await loop.run())
                    used = self._usage(peer).since(before)
                usage = Usage(*(a + b for a, b in zip(_parts(usage), _parts(used), strict=True)))
                freeing = [_failure_job(self._setup, socket, order) for socket, order in loop.won]
                await FeedLoop(sockets, freeing, 64).run()
        finally:
            for socket in sockets:
                socket.close()
        return _measured(peer, cell, total, usage)

    async def _burst(self, groups: Sequence[tuple[Zone, list[MintedUser]]], rivals: int) -> list[FeedJob]:
        columns, first = [], 0
        for zone, drivers in groups:
            count = len(drivers) * CAPACITY // rivals
            sockets = [MintedUser(first + index, "") for index in range(len(drivers))]
            columns.append((await self._setup.place(zone, count), _rivals(sockets, rivals)))
            first += len(drivers)
        jobs = []
        for index in range(min(len(orders) for orders, _ in columns)):
            for orders, turns in columns:
                jobs += [_accept_job(self._setup, driver.number, orders[index]) for driver in next(turns)]
        return jobs

    async def _connect(self, drivers: Sequence[MintedUser]) -> list[FeedWire]:
        parts = urlsplit(self._setup.server.url)
        loop, sockets = asyncio.get_running_loop(), []
        for driver in drivers:
            welcomed: asyncio.Future[bytes] = loop.create_future()
            wire = FeedWire(lambda text, f=welcomed: f.done() or f.set_result(text), lambda _: None)  # type: ignore[misc]
            await loop.create_connection(lambda w=wire: w, parts.hostname, parts.port)  # type: ignore[misc, arg-type]
            wire.on_upgrade = lambda w=wire: w.send(b'{"t":"hello"}')  # type: ignore[misc]
            wire.upgrade(FEED_PATH, driver.token)
            async with asyncio.timeout(10):
                await welcomed
            sockets.append(wire)
        return sockets


def _parts(usage: Usage) -> tuple[float, float, float]:
    return usage.server_s, usage.postgres_s, usage.generator_s


def _rivals(drivers: Sequence[MintedUser], count: int) -> Iterator[list[MintedUser]]:
    """Groups of `count` drivers, each driver's turn as often as any other's."""
    at = 0
    while True:
        yield [drivers[(at + index) % len(drivers)] for index in range(count)]
        at += count


def _accept_job(setup: BenchSetup, socket: int, order: str) -> FeedJob:
    head = f'{{"t":"offer.accept","key":"{setup.key()}","orders":["{order}"],"id":'
    return FeedJob(socket, lambda number: f"{head}{number}}}".encode(), order)


def _failure_job(setup: BenchSetup, socket: int, order: str) -> FeedJob:
    head = f'{{"t":"order.failure","key":"{setup.key()}","order_id":"{order}","reason":"bench","id":'
    return FeedJob(socket, lambda number: f"{head}{number}}}".encode(), order)


def _measured(peer: Peer, cell: BenchCase, answers: Answers, usage: Usage) -> BenchMeasure:
    ordered = sorted(answers.seconds)
    return BenchMeasure(
        peer.letter, cell, len(ordered), answers.good, answers.failed, answers.took_s,
        quantile(ordered, 0.5) * 1000, quantile(ordered, 0.99) * 1000, usage,
    )  # fmt: skip
