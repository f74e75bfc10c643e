"""What a measurement needs: the server, its peers, people with tokens, and orders to be accepted."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import orjson

from actors.clock import LoopClock, SystemRandomness
from api.operator.mint import mint
from loadtests.bench.load import Answers, RestLoop
from loadtests.client import Mall, open_http
from loadtests.scene import Zone, database_url, number_of, open_zone, order_body
from loadtests.server import ROOT, ServerProcess, free_port
from loadtests.wire import HttpWire, open_wire, request_bytes
from storage.postgres.database import Database, open_database

# As many as a driver may carry (the column's limit): so that acceptances need few drivers.
CAPACITY = 20
CUSTOMERS = 50
TOKEN_HOURS = 6.0
START_S = 20.0
_SQL = Path(__file__).with_name("peers.sql")


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver with a token."""

    number: int
    token: str


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


@dataclass(slots=True)
class Stage:
    """Everything that runs while cells are measured."""

    server: ServerProcess
    database: Database
    peers: dict[str, Peer]
    postgres_pid: int
    admin: Mall
    customers: list[str] = field(default_factory=list)
    products: tuple[str, ...] = ()
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    names: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def database_url(self) -> str:
        return database_url(self.server)

    async def wires(self, peer: Peer, count: int) -> list[HttpWire]:
        """So many connections."""
        return [await open_wire(peer.url) for _ in range(count)]

    async def mint_tokens(self, role: str, count: int, zone: int | None = None) -> list[Driver]:
        """New users with tokens; drivers are online."""
        clock = LoopClock(asyncio.get_running_loop())
        prefix = f"bench-{role}-{next(self.names)}"
        users = await mint(
            self.database, clock, SystemRandomness(), role=role, count=count, prefix=prefix, zone=zone,
            capacity=CAPACITY, hours=TOKEN_HOURS,
        )  # fmt: skip
        people = [Driver(number_of(user["id"]), user["access_token"]) for user in users]
        if role == "driver":
            # Nobody has loaded these rows yet, so they may be written past their actors.
            async with self.connection() as connection:
                numbers = [person.number for person in people]
                await connection.execute("UPDATE drivers SET status = 'online' WHERE id = ANY($1)", numbers)
        return people

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """As the database's owner."""
        connection = await asyncpg.connect(self.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def open_zone(self) -> Zone:
        """A new open zone with a store."""
        return await open_zone(self.admin, f"bench-{next(self.names)}", "open")

    def creations(self, products: Sequence[str], count: int, by: Sequence[str] = ()) -> list[bytes]:
        """Keyed requests for new orders, by these customers in turn, or by all."""
        body = orjson.dumps(order_body(tuple(products)))
        customers = itertools.cycle(by or self.customers)
        return [
            request_bytes(
                "POST", "/api/v2/orders", token=next(customers), body=body,
                key=f"bench-{self.chance.getrandbits(96):024x}",
            )
            for _ in range(count)
        ]  # fmt: skip

    async def place(self, zone: Zone, count: int) -> list[str]:
        """Orders in our server, made over its API; their public ids."""
        wires = await self.wires(self.peers["b"], 32)
        loop = RestLoop(wires, self.creations(zone.products, count), keep=True)
        answers = await loop.run()
        for wire in wires:
            wire.close()
        return ids_in(answers)

    async def place_in_peer(self, peer: Peer, count: int) -> list[str]:
        """Orders in a peer's tables; their public ids."""
        async with self.connection() as connection:
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
        wires = await self.wires(peer, 8)
        jobs = [request_bytes("GET", f"{peer.prefix}/orders/ord_0", token=token) for token in tokens]
        await RestLoop(wires, jobs).run()
        for wire in wires:
            wire.close()


def ids_in(answers: Answers) -> list[str]:
    """The public ids of created orders.

    Raises:
        RuntimeError: one was not created.
    """
    if answers.good != len(answers.bodies):
        wrong = next(body for body in answers.bodies if not body.startswith(b'{"id":'))
        raise RuntimeError(f"an order was not created: {wrong[:300]!r}")
    return [orjson.loads(body)["id"] for body in answers.bodies]


async def _prepare_tables(stage: Stage) -> None:
    """The peers' tables, with the same two products as ours."""
    numbers = [number_of(product) for product in stage.products]
    async with stage.connection() as connection:
        for schema in sorted({peer.schema for peer in stage.peers.values() if peer.schema}):
            await connection.execute(
                f"CREATE SCHEMA {schema}; SET search_path = {schema}; {_SQL.read_text()}"
            )
            await connection.executemany(
                "INSERT INTO products VALUES ($1, 'bread', 450, 'EUR', true)",
                [(number,) for number in numbers],
            )


@asynccontextmanager
async def _peer_process(stage: Stage, peers: Sequence[Peer]) -> AsyncIterator[None]:
    """The process behind one or more peers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", peers[0].module, "--port", str(port), "--schema", peers[0].schema,
        "--database-url", stage.database_url, cwd=ROOT,
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
async def open_stage(folder: Path, letters: str) -> AsyncIterator[Stage]:
    """Our server with embedded Postgres and Valkey in a folder, and the peers beside it on the same Postgres.

    Raises:
        RuntimeError, TimeoutError: something does not start.
    """
    peers = {peer.letter: peer for peer in all_peers() if peer.letter in letters or peer.letter in "bc"}
    environ = {"DATABASE_URL": "", "REDIS_URL": "", "MALL_LOG_LEVEL": "info", "MALL_SAMPLE": "off"}
    server = ServerProcess(folder, environ)
    async with AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        database = await stack.enter_async_context(open_database(database_url(server), size_max=2))
        http = await stack.enter_async_context(open_http(8))
        for letter in "bc":
            peers[letter].url, peers[letter].pid = server.url, server.pid
        postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        stage = Stage(server, database, peers, postmaster, Mall(http, server.url))
        stage.admin = stage.admin.as_((await stage.mint_tokens("admin", 1))[0].token)
        stage.customers = [person.token for person in await stage.mint_tokens("customer", CUSTOMERS)]
        stage.products = (await stage.open_zone()).products
        await _prepare_tables(stage)
        for module in sorted({peer.module for peer in peers.values() if peer.module}):
            together = [peer for peer in peers.values() if peer.module == module]
            await stack.enter_async_context(_peer_process(stage, together))
        yield stage
