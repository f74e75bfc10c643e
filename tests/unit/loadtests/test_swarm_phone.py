"""A phone of the swarm, alone and at work, on a connection without a network."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from loadtests.kit.fixtures import MintedUser
from loadtests.kit.report import LoadReport
from loadtests.swarm.drivers import OFFER, ServiceTimes, WorkingDrivers
from loadtests.swarm.phone import PhoneGroup, SwarmPhone
from tests.support.waiting import turn, until
from tests.unit.loadtests.test_kit_wire import UPGRADED, Pipe, server_frame

URL = "http://127.0.0.1:1"
AT_ONCE = ServiceTimes((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
WELCOME = {"t": "welcome", "epoch": "e", "seq": 4, "resumed": False}


class PhoneOnPipe:
    """A line whose other end is the test."""

    def __init__(self, group: PhoneGroup) -> None:
        self.group = group
        self.phone = SwarmPhone(group, MintedUser(7, "token"), 0)
        self.connect()

    def connect(self) -> None:
        self.wire = self.phone.dial()
        self.pipe = Pipe(self.wire.connection_lost)
        self.wire.connection_made(self.pipe)
        self.wire.data_received(UPGRADED)

    def hear(self, **frame: Any) -> None:
        self.wire.data_received(server_frame(json.dumps(frame).encode()))

    def event(self, seq: int, kind: str, **data: Any) -> None:
        self.hear(t="event", seq=seq, type=kind, at_ms=0, trace="x", data=data)

    @property
    def said(self) -> list[dict[str, Any]]:
        """Frames that the phone has sent: short ones, behind a head of six or eight bytes."""
        found = []
        rest = self.pipe.written
        while rest:
            size, start = rest[1] & 0x7F, 6
            if size == 126:
                size, start = int.from_bytes(rest[2:4], "big"), 8
            found.append(json.loads(rest[start : start + size]))
            rest = rest[start + size :]
        return found


def errors(group: PhoneGroup) -> dict[str, dict[str, int]]:
    return {name: dict(tally.errors) for name, tally in group.report.tallies.items() if tally.errors}


def plain() -> PhoneOnPipe:
    return PhoneOnPipe(PhoneGroup(LoadReport("test"), URL, "tag"))


def at_work() -> PhoneOnPipe:
    piped = PhoneOnPipe(WorkingDrivers(LoadReport("test"), URL, "tag", Random(1), AT_ONCE))
    piped.hear(**WELCOME)
    return piped


async def test_phone_resumes_where_it_was() -> None:
    piped = plain()
    assert piped.said == [{"t": "hello"}]
    piped.hear(**WELCOME)
    piped.event(5, "offer")
    piped.phone.cut()
    piped.connect()
    assert piped.said == [{"t": "hello", "resume": {"epoch": "e", "seq": 5}}]
    assert errors(piped.group) == {}


async def test_gap_is_in_the_report() -> None:
    piped = plain()
    piped.hear(**WELCOME)
    piped.event(6, "offer")
    assert errors(piped.group) == {"position": {"gap": 1}}


async def test_end_of_a_line_that_was_cut_is_not_heard_on_the_next() -> None:
    piped = plain()
    piped.hear(**WELCOME)
    old = piped.pipe
    old.closed = True  # its end is only reported later
    piped.phone.cut()
    assert piped.group.up == 0
    piped.connect()
    piped.hear(**WELCOME)
    old.closed = False
    old.abort()
    assert piped.group.up == 1
    assert errors(piped.group) == {}


async def test_line_that_the_server_closes_is_an_error_with_its_code() -> None:
    piped = plain()
    piped.hear(**WELCOME)
    piped.wire.data_received(server_frame((4202).to_bytes(2, "big"), opcode=8))
    assert errors(piped.group) == {"line": {"closed with 4202": 1}}
    assert piped.group.up == 0


async def test_answer_is_timed_and_an_error_is_named() -> None:
    piped = plain()
    piped.hear(**WELCOME)
    piped.phone.ask("availability", status="online")
    piped.phone.ask("order.pickup", order_id="ord_1")
    piped.hear(t="reply", id=1, ok=True)
    piped.hear(t="error", id=2, code="order_not_found")
    piped.hear(t="reply", id=3, ok=True)
    assert len(piped.group.report.tally("availability").seconds) == 1
    assert errors(piped.group) == {"order.pickup": {"order_not_found": 1}, "answer": {"reply  to nothing": 1}}


async def test_courier_carries_an_offered_order_to_its_end() -> None:
    piped = at_work()
    piped.event(5, "offer", order_id="ord_1", offer_id="ofr_1")
    await until(lambda: piped.said[-1]["t"] == "offer.accept")
    assert piped.said[-1]["orders"] == ["ord_1"]
    piped.hear(t="reply", id=1, ok=True, results=[{"order_id": "ord_1", "result": "won"}])
    piped.event(6, "order.assigned", order_id="ord_1")
    await until(lambda: piped.said[-1]["t"] == "order.pickup")
    piped.hear(t="reply", id=2, ok=True, result="picked_up")
    piped.event(7, "order.picked_up", order_id="ord_1")
    await until(lambda: piped.said[-1]["t"] == "order.delivery")
    piped.hear(t="reply", id=3, ok=True, result="delivered")
    piped.event(8, "order.delivered", order_id="ord_1")
    assert isinstance(piped.group, WorkingDrivers)
    assert (piped.group.delivered, piped.group.told) == (1, {"won": 1})
    assert len(piped.group.report.tally(OFFER).seconds) == 1
    assert errors(piped.group) == {}


async def test_courier_does_not_take_an_offer_that_was_revoked() -> None:
    piped = at_work()
    piped.event(5, "offer", order_id="ord_1", offer_id="ofr_1")
    piped.hear(t="offer.revoked", offer_id="ofr_1", order_id="ord_1", why="taken")
    for _ in range(5):
        await turn()
    assert [frame["t"] for frame in piped.said] == ["hello"]


async def test_being_too_late_is_no_error_but_nonsense_is() -> None:
    piped = at_work()
    for seq, result in ((5, "order_taken"), (6, "order_not_found")):
        piped.event(seq, "offer", order_id=f"ord_{seq}", offer_id=f"ofr_{seq}")
        sent = len(piped.said)
        await until(lambda sent=sent: len(piped.said) > sent)  # type: ignore[misc]
        piped.hear(t="reply", id=seq - 4, ok=True, results=[{"order_id": f"ord_{seq}", "result": result}])
    assert errors(piped.group) == {"offer.accept": {"order_not_found": 1}}
