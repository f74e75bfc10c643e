"""Idempotency under faults: orders and payments, posted under keys while the server is killed again and again.

    python -m loadtests.faults.idempotency [--orders 10000] [--kill-every 5] [--rate 150] [--cards]

Every order has a key. One order in five is sent by three senders at once with the same key, as a client does
that gave up too early. Every sender repeats until the outcome is known. With --cards every order is paid through
a gateway that is a process of its own, slowed and killed as well. In the end each key has one order and each
order one hold, every answer of a key was the same to the byte, the stock is what the orders left, and
`run.py verify` finds nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import orjson

from dispatch.audit_law import audit_law
from loadtests.kit.client import Mall, open_http
from loadtests.kit.fixtures import order_body
from loadtests.kit.gateway import GatewayProcess, open_gateway_process
from loadtests.kit.server import ServerProcess, open_server
from loadtests.kit.setup import Setup, mint_on
from loadtests.kit.stores import Stores, connect, open_stores
from loadtests.kit.tool import make_parser, run_tool
from loadtests.kit.waiting import sleep_until
from storage.postgres.audit import audit

# One order in five has three senders.
EVERY, SENDERS_OF_ONE = 5, 3
STOCK = 1_000_000
# An outcome that is not known by then will not be.
PATIENCE_S = 120.0
AGAIN = frozenset({202, 409, 429, 500, 503, 504})
CUSTOMERS = 20
SHOWN = 20


@dataclass(slots=True)
class KeyFindings:
    """What was said. `bodies`: by key, every final answer as it came; `statuses`: of all answers."""

    bodies: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    statuses: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    gateway_kills: int = 0
    took_s: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.violations

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"keys         {len(self.bodies)} in {self.took_s:.0f} s",
            f"kills        {self.kills} of the server, {self.gateway_kills} of the gateway",
            f"answers      {dict(sorted(self.statuses.items()))}",
            *(f"VIOLATION    {text}" for text in self.violations[:SHOWN]),
            f"verdict      {len(self.violations)} violations",
        ]


class IdempotencyRun(Setup):
    """One run. Open it with `open_run`."""

    def __init__(
        self,
        server: ServerProcess,
        stores: Stores,
        gateway: GatewayProcess | None,
        http: aiohttp.ClientSession,
        seed: int,
    ) -> None:
        super().__init__(Mall(http, server.url), mint_on(server), "keyed", seed)
        self.server = server
        self.stores = stores
        self.gateway = gateway
        self.found = KeyFindings()
        self._malls: list[Mall] = []
        self._products: tuple[str, ...] = ()
        self._sold = 0

    async def open_mall(self) -> None:
        """A zone, a product with a stock that can be counted, customers."""
        await self.enroll_admin()
        zone = await self.open_zone("open", stock=STOCK)
        self._malls = [self.mall.as_(user.token) for user in await self.mint("customer", CUSTOMERS)]
        self._products = zone.products[:1]

    async def run(self, orders: int, senders: int, rate_s: float, kill_every_s: float) -> None:
        """Send everything, at most `rate_s` a second, kill meanwhile, then compare."""
        numbers = _paced(orders, rate_s)
        turn = asyncio.Lock()
        began = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(self._work(numbers, turn)) for _ in range(senders)]
            killer = tasks.create_task(self._kill(kill_every_s))
            await asyncio.wait(workers)
            killer.cancel()
        self.found.took_s = perf_counter() - began
        if not self.server.running:
            await self.server.start()
        await self._judge()

    async def _work(self, numbers: AsyncIterator[int], turn: asyncio.Lock) -> None:
        while True:
            async with turn:
                number = await anext(numbers, None)
            if number is None:
                return
            mall, quantity = self._malls[number % CUSTOMERS], 1 + number % 3
            self._sold += quantity
            body = order_body(self._products, quantity) | {"payment": "card" if self.gateway else "cash"}
            many = SENDERS_OF_ONE if number % EVERY == 0 else 1
            placed = await asyncio.gather(
                *(self._insist(mall, "/api/v2/orders", f"order-key-{number:08d}", body) for _ in range(many))
            )
            if self.gateway is not None:
                pay = {"order_id": orjson.loads(placed[0])["id"], "method": "card", "token": "tok_success"}
                key = f"payment-key-{number:08d}"
                await asyncio.gather(*(self._insist(mall, "/api/v2/payments", key, pay) for _ in range(many)))

    async def _insist(self, mall: Mall, path: str, key: str, body: dict[str, Any]) -> bytes:
        """The final answer: repeated under its key until there is one."""
        headers = {
            "Authorization": f"Bearer {mall.token}", "Idempotency-Key": key, "Content-Type": "application/json",
        }  # fmt: skip
        data = orjson.dumps(body)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    async with self.mall.http.post(mall.url + path, data=data, headers=headers) as response:
                        raw, status = await response.read(), response.status
                except (aiohttp.ClientError, OSError):
                    self.found.statuses["no answer"] += 1
                    await asyncio.sleep(0.05)
                    continue
                replayed = " replayed" if "Idempotent-Replayed" in response.headers else ""
                self.found.statuses[f"{status}{replayed}"] += 1
                if status not in AGAIN:
                    break
                await asyncio.sleep(0.05)
        self.found.bodies[key].add(raw)
        if status != 201:
            self.found.violations.append(f"{key}: {status} {raw[:200]!r}")
        return raw

    async def _kill(self, every_s: float) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(every_s * self.chance.uniform(0.8, 1.2))
            await self.server.kill()
            self.found.kills += 1
            if self.gateway is not None and turn % 2:
                await self.gateway.kill()
                await self.gateway.start()
                await self.gateway.delay(self.mall.http, self.chance.choice((0.0, 0.2, 1.0)))
                self.found.gateway_kills += 1
            await self.server.start()

    async def _judge(self) -> None:
        bad = self.found.violations
        keys = self.found.bodies
        bad += [f"{key}: {len(bodies)} different answers" for key, bodies in keys.items() if len(bodies) > 1]
        ids = Counter(
            orjson.loads(next(iter(bodies)))["id"] for key, bodies in keys.items() if key.startswith("order")
        )
        bad += [f"{order} stands under {count} keys" for order, count in ids.items() if count > 1]
        async with connect(self.stores.postgres.database_url) as connection:
            recorded = {f"ord_{row[0]}" for row in await connection.fetch("SELECT id FROM orders")}
            stock = await connection.fetchval("SELECT stock FROM products ORDER BY id LIMIT 1")
        bad += [f"{order} was answered and is not there" for order in ids.keys() - recorded]
        bad += [f"{order} is there and nobody was told" for order in recorded - ids.keys()]
        if stock != STOCK - self._sold:
            bad.append(f"stock is {stock}, should be {STOCK - self._sold}")
        if self.gateway is not None:
            await self._judge_holds(len(ids))
        report = await audit(self.stores.postgres.database_url, audit_law(run_days=7))
        if not report.holds:
            bad.append(report.text())

    async def _judge_holds(self, orders: int) -> None:
        assert self.gateway is not None
        holds = Counter(
            entry["key"]
            for entry in await self.gateway.effects(self.mall.http)
            if entry["key"].endswith("hold")
        )
        if len(holds) != orders or set(holds.values()) != {1}:
            self.found.violations.append(f"{len(holds)} holds, {holds.total()} times, for {orders} orders")


async def _paced(count: int, rate_s: float) -> AsyncIterator[int]:
    """Numbers, no more than `rate_s` a second."""
    began = perf_counter()
    for number in range(count):
        await sleep_until(began + number / rate_s)
        yield number


@asynccontextmanager
async def open_run(folder: Path, *, cards: bool, seed: int) -> AsyncIterator[IdempotencyRun]:
    """Databases, a server, and with `cards` a gateway."""
    async with AsyncExitStack() as stack:
        stores = stack.enter_context(open_stores(folder))
        environ, gateway = stores.environ, None
        if cards:
            gateway = await stack.enter_async_context(open_gateway_process(folder / "ledger.jsonl"))
            environ["MALL_GATEWAY_URL"] = gateway.url
        server = await stack.enter_async_context(open_server(folder / "mall", environ))
        http = await stack.enter_async_context(open_http())
        run = IdempotencyRun(server, stores, gateway, http, seed)
        await run.open_mall()
        yield run


async def run_keyed(options: argparse.Namespace) -> KeyFindings:
    """One run in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="mall-keyed-") as folder:
        async with open_run(Path(folder), cards=options.cards, seed=options.seed) as run:
            await run.run(options.orders, options.senders, options.rate, options.kill_every)
            return run.found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the findings; 1 on any violation."""
    parser = make_parser("loadtests.faults.idempotency", __doc__, json=False)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--senders", type=int, default=64)
    parser.add_argument("--rate", type=float, default=150.0, help="orders a second")
    parser.add_argument("--kill-every", type=float, default=5.0, help="seconds")
    parser.add_argument("--cards", action="store_true", help="and pay each by card")
    parser.add_argument("--seed", type=int, default=1)
    return run_tool(run_keyed(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
