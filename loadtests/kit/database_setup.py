"""A setup past the API, where the API is too slow: tens of thousands of orders and users before a measurement."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence

import orjson

from actors.clock import LoopClock, SystemRandomness
from api.operator.mint import mint
from loadtests.kit.client import Mall
from loadtests.kit.closed_loop import Answers, RestLoop
from loadtests.kit.fixtures import MintedUser, Zone, number_of, order_body
from loadtests.kit.setup import Mint, Setup
from loadtests.kit.stores import connect
from loadtests.kit.wire import open_wires, request_bytes
from storage.postgres.database import Database

TOKEN_HOURS = 6.0
PLACED_AT_ONCE = 32


def mint_in(database: Database) -> Mint:
    """Mints in this process, as `run.py mint` does in its own."""

    async def mint_users(
        role: str, count: int, prefix: str, *, zone: Zone | None = None, capacity: int = 1
    ) -> list[MintedUser]:
        users = await mint(
            database, LoopClock(asyncio.get_running_loop()), SystemRandomness(), role=role, count=count,
            prefix=prefix, zone=zone.number if zone else None, capacity=capacity, hours=TOKEN_HOURS,
        )  # fmt: skip
        return [MintedUser(number_of(user["id"]), user["access_token"]) for user in users]

    return mint_users


class DatabaseSetup(Setup):
    """A setup that also writes to the database of its server."""

    def __init__(self, mall: Mall, database: Database, database_url: str, tag: str, seed: int = 1) -> None:
        super().__init__(mall, mint_in(database), tag, seed)
        self.database_url = database_url

    async def go_online(self, drivers: Iterable[MintedUser]) -> None:
        """Drivers whom no instance has loaded yet: their rows are written past their actors."""
        numbers = [driver.number for driver in drivers]
        async with connect(self.database_url) as connection:
            await connection.execute("UPDATE drivers SET status = 'online' WHERE id = ANY($1)", numbers)

    def creations(self, products: Sequence[str], count: int, tokens: Sequence[str]) -> list[bytes]:
        """Keyed requests for new orders, by these customers in turn."""
        body, customers = orjson.dumps(order_body(tuple(products))), itertools.cycle(tokens)
        return [
            request_bytes("POST", "/api/v2/orders", token=next(customers), body=body, key=self.key())
            for _ in range(count)
        ]

    def acceptance(self, order: str, driver: MintedUser, prefix: str = "/api/v2") -> bytes:
        """A keyed acceptance in an open zone."""
        path = f"{prefix}/orders/{order}/acceptance"
        return request_bytes("POST", path, token=driver.token, body=b"{}", key=self.key())

    async def place_orders(
        self, products: Sequence[str], count: int, urls: Sequence[str], tokens: Sequence[str]
    ) -> list[str]:
        """New orders, made over the API at these addresses; their public ids."""
        return ids_in(
            await run_once(urls, self.creations(products, count, tokens), PLACED_AT_ONCE, keep=True)
        )


async def run_once(urls: Sequence[str], jobs: Sequence[bytes], width: int, *, keep: bool = False) -> Answers:
    """All of these requests, `width` at once, over connections of their own."""
    async with open_wires(urls, width) as wires:
        return await RestLoop(wires, jobs, keep=keep).run()


def ids_in(answers: Answers) -> list[str]:
    """The public ids of created orders.

    Raises:
        RuntimeError: one was not created.
    """
    if answers.good != len(answers.bodies):
        wrong = next(body for body in answers.bodies if not body.startswith(b'{"id":'))
        raise RuntimeError(f"an order was not created: {wrong[:300]!r}")
    return [orjson.loads(body)["id"] for body in answers.bodies]
