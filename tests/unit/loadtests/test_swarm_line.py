"""A phone of the swarm and a working crew, on a line without a network."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from loadtests.scene import Person
from loadtests.swarm.couriers import OFFER, Couriers, Pace
from loadtests.swarm.line import Crew, Line
from loadtests.verdict import Report
from tests.support.waiting import turn, until
from tests.unit.loadtests.test_wire import UPGRADED, Pipe, server_frame

URL = "http://127.0.0.1:1"
AT_ONCE = Pace((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
WELCOME = {"t": "welcome", "epoch": "e", "seq": 4, "resumed": False}


class Phone:
    """A line whose other end is the test."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.line = Line(crew, Person(7, "token"), 0)
        self.connect()

    def connect(self) -> None:
        self.wire = self.line.dial()
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


def errors(crew: Crew) -> dict[str, dict[str, int]]:
    return {name: dict(tally.errors) for name, tally in crew.report.tallies.items() if tally.errors}


def plain() -> Phone:
    return Phone(Crew(Report("test"), URL, "tag"))


def courier() -> Phone:
    phone = Phone(Couriers(Report("test"), URL, "tag", Random(1), AT_ONCE))
    phone.hear(**WELCOME)
    return phone


async def test_phone_resumes_where_it_was() -> None:
    phone = plain()
    assert phone.said == [{"t": "hello"}]
    phone.hear(**WELCOME)
    phone.event(5, "offer")
    phone.line.cut()
    phone.connect()
    assert phone.said == [{"t": "hello", "resume": {"epoch": "e", "seq": 5}}]
    assert errors(phone.crew) == {}


async def test_gap_is_in_the_report() -> None:
    phone = plain()
    phone.hear(**WELCOME)
    phone.event(6, "offer")
    assert errors(phone.crew) == {"position": {"gap": 1}}


async def test_end_of_a_line_that_was_cut_is_not_heard_on_the_next() -> None:
    phone = plain()
    phone.hear(**WELCOME)
    old = phone.pipe
    old.closed = True  # its end is only reported later
    phone.line.cut()
    assert phone.crew.up == 0
    phone.connect()
    phone.hear(**WELCOME)
    old.closed = False
    old.abort()
    assert phone.crew.up == 1
    assert errors(phone.crew) == {}


async def test_line_that_the_server_closes_is_an_error_with_its_code() -> None:
    phone = plain()
    phone.hear(**WELCOME)
    phone.wire.data_received(server_frame((4202).to_bytes(2, "big"), opcode=8))
    assert errors(phone.crew) == {"line": {"closed with 4202": 1}}
    assert phone.crew.up == 0


async def test_answer_is_timed_and_an_error_is_named() -> None:
    phone = plain()
    phone.hear(**WELCOME)
    phone.line.ask("availability", status="online")
    phone.line.ask("order.pickup", order_id="ord_1")
    phone.hear(t="reply", id=1, ok=True)
    phone.hear(t="error", id=2, code="order_not_found")
    phone.hear(t="reply", id=3, ok=True)
    assert len(phone.crew.report.tally("availability").seconds) == 1
    assert errors(phone.crew) == {"order.pickup": {"order_not_found": 1}, "answer": {"reply  to nothing": 1}}


async def test_courier_carries_an_offered_order_to_its_end() -> None:
    phone = courier()
    phone.event(5, "offer", order_id="ord_1", offer_id="ofr_1")
    await until(lambda: phone.said[-1]["t"] == "offer.accept")
    assert phone.said[-1]["orders"] == ["ord_1"]
    phone.hear(t="reply", id=1, ok=True, results=[{"order_id": "ord_1", "result": "won"}])
    phone.event(6, "order.assigned", order_id="ord_1")
    await until(lambda: phone.said[-1]["t"] == "order.pickup")
    phone.hear(t="reply", id=2, ok=True, result="picked_up")
    phone.event(7, "order.picked_up", order_id="ord_1")
    await until(lambda: phone.said[-1]["t"] == "order.delivery")
    phone.hear(t="reply", id=3, ok=True, result="delivered")
    phone.event(8, "order.delivered", order_id="ord_1")
    assert isinstance(phone.crew, Couriers)
    assert (phone.crew.delivered, phone.crew.told) == (1, {"won": 1})
    assert len(phone.crew.report.tally(OFFER).seconds) == 1
    assert errors(phone.crew) == {}


async def test_courier_does_not_take_an_offer_that_was_revoked() -> None:
    phone = courier()
    phone.event(5, "offer", order_id="ord_1", offer_id="ofr_1")
    phone.hear(t="offer.revoked", offer_id="ofr_1", order_id="ord_1", why="taken")
    for _ in range(5):
        await turn()
    assert [frame["t"] for frame in phone.said] == ["hello"]


async def test_being_too_late_is_no_error_but_nonsense_is() -> None:
    phone = courier()
    for seq, result in ((5, "order_taken"), (6, "order_not_found")):
        phone.event(seq, "offer", order_id=f"ord_{seq}", offer_id=f"ofr_{seq}")
        sent = len(phone.said)
        await until(lambda sent=sent: len(phone.said) > sent)  # type: ignore[misc]
        phone.hear(t="reply", id=seq - 4, ok=True, results=[{"order_id": f"ord_{seq}", "result": result}])
    assert errors(phone.crew) == {"offer.accept": {"order_not_found": 1}}
