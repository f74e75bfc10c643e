"""What a measurement needs: the server, its peers, users with tokens, and orders to be accepted."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp

from loadtests.kit.client import Mall, open_http
from loadtests.kit.database_setup import DatabaseSetup, run_once
from loadtests.kit.fixtures import MintedUser, Zone, database_url, number_of, order_body
from loadtests.kit.server import EMBEDDED, ROOT, ServerProcess, free_port, open_server
from loadtests.kit.stores import connect
from loadtests.kit.waiting import sleep_until
from loadtests.kit.wire import open_wire, request_bytes
from storage.postgres.database import Database, open_database

# As many as a driver may carry (the column's limit): so that acceptances need few drivers.
CAPACITY = 20
CUSTOMERS = 50
START_S = 20.0
# Orders at a rate before the measurement: connections, plans and caches.
WARM = 20
_SQL = Path(__file__).with_name("peers.sql")


@dataclass(slots=True)
class Peer:
    """A server to be measured.

    Attributes:
        letter, title: as in the report.
        module: of a peer's process; empty for our own server.
        prefix: of its paths; the server's own is /api/v2.
        schema: where its tables are; empty where it has none.
    """

    letter: str
    title: str
    module: str = ""
    schema: str = ""
    prefix: str = "/api/v2"
    url: str = ""
    pid: int = 0


def all_peers() -> list[Peer]:
    """In the order of the report."""
    return [
        Peer("a", "row lock: FastAPI, SQLAlchemy, FOR UPDATE", "loadtests.bench.rowlock", "bench_a"),
        Peer("b", "this server over REST"),
        Peer("c", "this server over the feed"),
        Peer("d", "bare aiohttp, does nothing", "loadtests.bench.plain", "bench_e", "/bare"),
        Peer("e", "aiohttp, asyncpg, conditional UPDATE", "loadtests.bench.plain", "bench_e"),
        Peer("f", "(a) in threads: psycopg, def handlers", "loadtests.bench.threads", "bench_f"),
    ]


class BenchSetup(DatabaseSetup):
    """Everything that runs while cases are measured.

    Attributes:
        customers: their tokens.
        products: two, of a zone without drivers.
    """

    def __init__(
        self, server: ServerProcess, http: aiohttp.ClientSession, database: Database, peers: dict[str, Peer]
    ) -> None:
        super().__init__(Mall(http, server.url), database, database_url(server), "bench")
        self.server = server
        self.peers = peers
        postmaster = server.data_dir / "postgres" / "postmaster.pid"
        self.postgres_pid = int(postmaster.read_text().split()[0])
        self.customers: list[str] = []
        self.products: tuple[str, ...] = ()

    async def open_drivers(self, count: int) -> tuple[Zone, list[MintedUser]]:
        """A new open zone, and drivers in it who are online."""
        zone = await self.open_zone("open")
        drivers = await self.mint("driver", count, zone, CAPACITY)
        await self.go_online(drivers)
        return zone, drivers

    async def place(self, zone: Zone, count: int) -> list[str]:
        """Orders in our server; their public ids."""
        return await self.place_orders(zone.products, count, [self.server.url], self.customers)

    async def place_at_rate(self, rate: float, seconds: float, customers: int) -> list[int]:
        """Orders of so many customers, so many a second; the numbers of those after the warm-up."""
        tokens = [person.token for person in await self.mint("customer", customers)]
        body = order_body((await self.open_zone("open")).products)
        placed: list[int] = []

        async def place(turn: int) -> None:
            customer = self.mall.as_(tokens[turn % customers])
            order = await customer.do("POST", "/api/v2/orders", body, key=self.key())
            if turn >= WARM:
                placed.append(number_of(order["id"]))

        began = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for turn in range(WARM + int(rate * seconds)):
                await sleep_until(began + turn / rate)
                tasks.create_task(place(turn))
        return placed

    async def place_in_peer(self, peer: Peer, count: int) -> list[str]:
        """Orders in a peer's tables; their public ids."""
        async with connect(self.database_url) as connection:
            await connection.execute(f"SET search_path = {peer.schema}")
            rows = await connection.fetch(
                "INSERT INTO orders (customer_id, status, lat, lon, address, payment, total_minor, currency)"
                " SELECT 1, 'confirmed', 52.5, 13.4, '1 Test Street', 'cash', 900, 'EUR'"
                " FROM generate_series(1, $1) RETURNING id",
                count,
            )
        return [f"ord_{row['id']}" for row in rows]

    async def warm_tokens(self, peer: Peer, tokens: Sequence[str]) -> None:
        """Let the peer verify each signature once: none pays for it inside a measurement."""
        jobs = [request_bytes("GET", f"{peer.prefix}/orders/ord_0", token=token) for token in tokens]
        await run_once([peer.url], jobs, 8)


async def _prepare_tables(setup: BenchSetup) -> None:
    """The peers' tables, with the same two products as ours."""
    numbers = [number_of(product) for product in setup.products]
    async with connect(setup.database_url) as connection:
        for schema in sorted({peer.schema for peer in setup.peers.values() if peer.schema}):
            await connection.execute(
                f"CREATE SCHEMA {schema}; SET search_path = {schema}; {_SQL.read_text()}"
            )
            await connection.executemany(
                "INSERT INTO products VALUES ($1, 'bread', 450, 'EUR', true)",
                [(number,) for number in numbers],
            )


@asynccontextmanager
async def _peer_process(setup: BenchSetup, peers: Sequence[Peer]) -> AsyncIterator[None]:
    """The process behind one or more peers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", peers[0].module, "--port", str(port), "--schema", peers[0].schema,
        "--database-url", setup.database_url, cwd=ROOT,
    )  # fmt: skip
    try:
        for peer in peers:
            peer.url, peer.pid = f"http://127.0.0.1:{port}", process.pid
        await _until_open(peers[0])
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_open(peer: Peer) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                (await open_wire(peer.url)).close()
                return
            except OSError:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def open_setup(folder: Path, letters: str) -> AsyncIterator[BenchSetup]:
    """Our server with embedded Postgres and Valkey in a folder, and the peers beside it on the same Postgres.

    Raises:
        RuntimeError, TimeoutError: something does not start.
    """
    peers = {peer.letter: peer for peer in all_peers() if peer.letter in letters or peer.letter in "bc"}
    environ = EMBEDDED | {"MALL_LOG_LEVEL": "info", "MALL_SAMPLE": "off"}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(folder, environ))
        database = await stack.enter_async_context(open_database(database_url(server), size_max=2))
        http = await stack.enter_async_context(open_http(8))
        for letter in "bc":
            peers[letter].url, peers[letter].pid = server.url, server.pid
        setup = BenchSetup(server, http, database, peers)
        await setup.enroll_admin()
        setup.customers = [person.token for person in await setup.mint("customer", CUSTOMERS)]
        setup.products = (await setup.open_zone("open")).products
        await _prepare_tables(setup)
        for module in sorted({peer.module for peer in peers.values() if peer.module}):
            together = [peer for peer in peers.values() if peer.module == module]
            await stack.enter_async_context(_peer_process(setup, together))
        yield setup
