"""Drivers who are sent away: what is counted, and what is said again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import orjson
import pytest

from loadtests.fleet.reconnecting import ReconnectingDrivers, ReconnectingPhone
from loadtests.kit.fixtures import MintedUser
from loadtests.kit.report import LoadReport
from loadtests.kit.wire import FeedWire


class Wire(FeedWire):
    """Keeps what is sent on it."""

    def __init__(self) -> None:
        super().__init__(lambda _: None, lambda _: None)
        self.sent: list[dict[str, Any]] = []

    def send(self, text: bytes) -> None:
        self.sent.append(orjson.loads(text))


class Returns(ReconnectingPhone):
    """Comes back at once, without a server."""

    async def come_back(self) -> None:
        self.drivers.up += 1


def drivers(tasks: asyncio.TaskGroup) -> ReconnectingDrivers:
    return ReconnectingDrivers(LoadReport("test"), "http://127.0.0.1:1", "tag", Random(1), tasks)


def phone_of(some: ReconnectingDrivers, number: int = 1) -> Returns:
    return Returns(some, MintedUser(number, "token"), 1)


@pytest.mark.parametrize(("code", "away", "cut"), [(4200, 1, 0), (4203, 1, 0), (1006, 0, 1), (1011, 0, 1)])
async def test_who_is_told_to_reconnect_is_sent_away_and_everything_else_is_cut(
    code: int, away: int, cut: int
) -> None:
    async with asyncio.TaskGroup() as tasks:
        some = drivers(tasks)
        phone_of(some)._end(code)
    assert (some.sent_away.total(), some.cut, some.up) == (away, cut, 1)
    assert some.report.tally("line").failed == cut


async def test_nobody_comes_back_when_it_is_over() -> None:
    async with asyncio.TaskGroup() as tasks:
        some = drivers(tasks)
        some.over = True
        phone_of(some)._end(4200)
    assert (some.sent_away.total(), some.up) == (0, 0)


async def test_rounds_are_counted_apart() -> None:
    async with asyncio.TaskGroup() as tasks:
        some = drivers(tasks)
        phone_of(some, 1)._end(4200)
        some.new_round(3)
        for number in (1, 2, 2):
            phone_of(some, number)._end(4200)
        some.new_round(3)
    # Once: driver 1 in each round. Twice: driver 2. Never: two drivers, then one.
    assert some.rounds == {0: 3, 1: 2, 2: 1}
    assert some.worst == 2


async def test_unanswered_commands_are_said_again_with_their_keys() -> None:
    async with asyncio.TaskGroup() as tasks:
        phone = phone_of(drivers(tasks))
        phone.wire = before = Wire()
        phone.ask("order.pickup", order_id="ord_1")
        phone.ask("order.delivery", order_id="ord_1")
        phone._frame({"t": "reply", "id": 1, "ok": True, "result": "picked_up"}, 0.0)
        phone.wire = after = Wire()
        phone._frame({"t": "welcome", "resumed": False, "epoch": "e", "seq": 0, "snapshot": {}}, 0.0)
    assert [frame["id"] for frame in before.sent] == [1, 2]
    assert after.sent == [before.sent[1]]
    assert len({frame["key"] for frame in before.sent}) == 2
