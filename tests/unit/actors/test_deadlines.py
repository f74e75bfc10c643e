"""Questions are given up at their deadline, and only those."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.deadlines import SLOT_S, Deadlines
from actors.errors import DeadlinePassed, OutcomeUnknown
from actors.messages import ActorId, Envelope
from tests.support.clocks import Hands


def asked(until: float) -> tuple[Envelope, asyncio.Future[Any]]:
    reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return Envelope(ActorId("order", 1), "?", until, reply=reply), reply


async def test_question_is_given_up_after_its_deadline_and_not_before() -> None:
    hands = Hands()
    deadlines = Deadlines(hands)
    envelope, reply = asked(100.5)
    deadlines.watch(envelope)
    hands.now = 100.45
    deadlines.look()
    assert not reply.done()
    hands.now = 100.5 + 2 * SLOT_S
    deadlines.look()
    with pytest.raises(DeadlinePassed):
        await reply
    assert len(deadlines) == 0


async def test_outcome_is_unknown_when_the_commit_was_already_sent() -> None:
    hands = Hands()
    deadlines = Deadlines(hands)
    envelope, reply = asked(100.1)
    envelope.commit_sent()
    deadlines.watch(envelope)
    hands.now = 101.0
    deadlines.look()
    with pytest.raises(OutcomeUnknown):
        await reply


async def test_answered_question_holds_no_answer_until_its_deadline() -> None:
    envelope, reply = asked(100.1)
    envelope.answer("yes")
    assert await reply == "yes"
    assert envelope.given_up
    envelope.fail(DeadlinePassed())
    assert reply.result() == "yes", "the first answer stands"


async def test_answered_question_is_forgotten_at_once() -> None:
    deadlines = Deadlines(Hands())
    (first, _), (second, _) = asked(100.51), asked(100.52)
    deadlines.watch(first)
    deadlines.watch(second)
    deadlines.forget(first)
    deadlines.forget(first)
    assert len(deadlines) == 1
