"""A light steady load, so that every rate exists: customers over REST at a fixed pace, drivers on the feed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Sequence
from random import Random
from time import perf_counter

import aiohttp

from loadtests.kit.app_driver import AppDriver
from loadtests.kit.client import Mall, Phone
from loadtests.kit.fixtures import LAT, LON, order_body
from loadtests.kit.phone_connection import ConnectionGivenUp, PhoneConnection
from loadtests.kit.waiting import sleep_until

PER_S = 12.0
# What the requests are, in turn: one in ten looks for stores around a place.
TURNS = (
    "place", "look", "products", "place", "list", "look", "near", "place", "look", "pay",
    "place", "list", "look", "products", "place", "list", "near", "look", "products", "pay",
)  # fmt: skip
# Nothing hangs for longer, and no more hang at once.
REQUEST_S, UNDER_WAY_MAX = 6.0, 150
LOOK_S = 1.0


class SteadyCustomer:
    """One caller who does the same mix over and over; what fails is counted and not repeated."""

    def __init__(self, mall: Mall, products: Sequence[str], seed: int) -> None:
        self.answers: Counter[str] = Counter()
        self._mall = mall
        self._products = tuple(products)
        self._chance = Random(seed)
        self._key = f"drill-{self._chance.getrandbits(64):016x}"
        self._numbers = itertools.count(1)
        self._order: str | None = None
        self._under_way = 0

    async def run(self) -> None:
        """Until cancelled, at PER_S; a request that is slow holds up no other one."""
        due = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for turn in itertools.cycle(TURNS):
                due += 1 / PER_S
                await sleep_until(due)
                if self._under_way < UNDER_WAY_MAX:
                    tasks.create_task(self._do(turn), name=turn)
                else:
                    self.answers["skipped"] += 1

    async def _do(self, turn: str) -> None:
        self._under_way += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                self.answers[str(await self._ask(turn))] += 1
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
        finally:
            self._under_way -= 1

    async def _ask(self, turn: str) -> int:
        match turn:
            case "place" | "pay":
                return await self._place(pays=turn == "pay")
            case "look" if self._order is not None:
                path = f"/api/v2/orders/{self._order}"
            case "near":
                # Another place each time, so that no cache answers.
                place = (
                    f"{LAT + self._chance.uniform(-0.1, 0.1):.6f},{LON + self._chance.uniform(-0.1, 0.1):.6f}"
                )
                path = f"/api/v2/stores?near={place}&radius_m=5000"
            case "products":
                path = "/api/v2/products"
            case _:
                path = "/api/v2/orders"
        return (await self._mall.call("GET", path))[0]

    async def _place(self, *, pays: bool) -> int:
        number = next(self._numbers)
        body = order_body(self._products) | {"payment": "card" if pays else "cash"}
        status, order, _ = await self._mall.call(
            "POST", "/api/v2/orders", body, key=f"{self._key}-{number:08d}"
        )
        if status != 201:
            return status
        self._order = order["id"]
        if not pays:
            return status
        payment = {"order_id": order["id"], "token": "tok_success"}
        return (
            await self._mall.call("POST", "/api/v2/payments", payment, key=f"{self._key}-pay-{number:08d}")
        )[0]


class SteadyDriver(AppDriver):
    """Takes every offer and delivers at once: a driver without the driving."""

    def __init__(self, mall: Mall, name: str, counts: Counter[str]) -> None:
        super().__init__(PhoneConnection(Phone(mall), name, counts))
        self._news = asyncio.Event()

    def on_change(self) -> None:
        """There may be something to do."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; a lost connection comes back."""
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self._work(), name="work")
            with contextlib.suppress(ConnectionGivenUp):
                await self.link.hold()
            work.cancel()

    async def _work(self) -> None:
        await self.link.ask({"t": "availability", "status": "online"})
        while True:
            self.link.phone.events.clear()
            for order in list(self.orders):
                await self.link.ask({"t": "order.pickup", "order_id": order})
                await self.link.ask({"t": "order.delivery", "order_id": order})
                self.orders.pop(order, None)
            if self.offers:
                offer = self.offers.pop(next(iter(self.offers)))
                frame = {"t": "offer.accept", "orders": [offer["order_id"]], "offer_id": offer["offer_id"]}
                await self.link.ask(frame)
                continue
            self._news.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                continue
