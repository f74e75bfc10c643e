"""What a ticket of a stream is good for, and that it is good for nothing else."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest

from actors.clock import LoopClock, SystemRandomness
from api.auth.access_tokens import BadToken, Principal
from api.auth.stream_tickets import GOOD_S, LENGTH_MAX, PATTERN, StreamTickets
from api.contract.cursors import Cursors, Purpose
from storage.postgres.list_queries import After
from tests.simulation.loop import SimLoop

NOW = 1_900_000_000.0


class Watch(LoopClock):
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        super().__init__(SimLoop(1))
        self.wall_s = NOW

    def wall(self) -> float:
        return self.wall_s


def tickets(secret: bytes = b"of all instances") -> StreamTickets:
    return StreamTickets(secret, Watch(), SystemRandomness())


def refused(known: StreamTickets, text: str, order: str = "ord_17") -> None:
    with pytest.raises(BadToken):
        known.read(order, text)


WHO = Principal("customer", 2**53 - 1, "ses_" + "f" * 32, NOW + 10_000)


def test_a_ticket_stands_for_who_asked_for_it_on_every_instance() -> None:
    text, good_s = tickets().issue(WHO, 17)
    assert tickets().read("ord_17", text) == replace(WHO, expires_at=NOW + GOOD_S)
    assert good_s == GOOD_S
    assert re.fullmatch(PATTERN, text)
    assert len(text) <= LENGTH_MAX


def test_a_ticket_does_not_outlive_the_token_that_asked_for_it() -> None:
    text, good_s = tickets().issue(replace(WHO, expires_at=NOW + 42.5), 17)
    found = tickets().read("ord_17", text)
    assert (found.expires_at, good_s) == (NOW + 42.5, 42)


def test_a_ticket_is_for_one_order_and_one_cluster() -> None:
    text, _ = tickets().issue(WHO, 17)
    refused(tickets(), text, "ord_18")
    refused(tickets(b"of others"), text)


def test_nothing_else_that_is_sealed_is_a_ticket() -> None:
    cursor = Cursors(b"of all instances", Watch()).seal(Purpose("/x", 1, "id", {}), After("a", 1))
    refused(tickets(), f"stk_{cursor}")


@pytest.mark.parametrize(
    "text", ["", "stk_", "tkt_" + "A" * 80, "stk_" + "A" * 80, "stk_" + "A" * 397, "stk_ä" + "A" * 80]
)
def test_what_was_not_sealed_is_no_ticket(text: str) -> None:
    refused(tickets(), text)


def test_no_byte_of_a_ticket_may_be_changed() -> None:
    text, _ = tickets().issue(WHO, 17)
    sealed = base64.urlsafe_b64decode(text[4:] + "=" * (-len(text[4:]) % 4))
    for at in range(len(sealed)):
        other = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        refused(tickets(), "stk_" + base64.urlsafe_b64encode(other).rstrip(b"=").decode())
