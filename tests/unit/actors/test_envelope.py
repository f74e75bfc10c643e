"""What may be said of a message when nobody answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from actors.errors import CommandReused, DeadlinePassed, OutcomeUnknown, Unavailable
from actors.messages import ActorId, Envelope

TO = ActorId("order", 1)


def _asked() -> tuple[Envelope, asyncio.Future[object]]:
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    return Envelope(TO, "accept", 1.0, reply=reply), reply


def _sent(envelope: Envelope) -> None:
    envelope.commit_sent()


def _sent_and_taken_back(envelope: Envelope) -> None:
    envelope.commit_sent()
    envelope.not_written()


def _given_away_before_it_was_sent(envelope: Envelope) -> None:
    envelope.left_owner()


def _given_away_after_it_was_sent(envelope: Envelope) -> None:
    envelope.commit_sent()
    envelope.left_owner()


def _given_away_and_refused_by_the_next_owner(envelope: Envelope) -> None:
    envelope.commit_sent()
    envelope.left_owner()
    envelope.not_written()


def _lost(envelope: Envelope) -> None:
    envelope.outcome_lost()
    envelope.not_written()


@pytest.mark.parametrize("way", [lambda _: None, _sent_and_taken_back, _given_away_before_it_was_sent])
async def test_asker_hears_not_processed_while_that_is_certain(way: Callable[[Envelope], None]) -> None:
    envelope, reply = _asked()
    way(envelope)
    envelope.give_up(DeadlinePassed())
    assert isinstance(reply.exception(), DeadlinePassed)


@pytest.mark.parametrize(
    "way", [_sent, _given_away_after_it_was_sent, _given_away_and_refused_by_the_next_owner, _lost]
)
async def test_asker_hears_unknown_as_soon_as_a_commit_may_have_been_written(
    way: Callable[[Envelope], None],
) -> None:
    envelope, reply = _asked()
    way(envelope)
    envelope.give_up(DeadlinePassed())
    assert isinstance(reply.exception(), OutcomeUnknown)


async def test_nobody_says_not_processed_of_a_message_in_doubt() -> None:
    envelope, reply = _asked()
    envelope.commit_sent()
    envelope.left_owner()
    envelope.fail(Unavailable("stopping"))
    assert isinstance(reply.exception(), OutcomeUnknown)


async def test_definite_refusal_of_a_message_in_doubt_is_told_as_it_is() -> None:
    envelope, reply = _asked()
    envelope.outcome_lost()
    envelope.fail(CommandReused())
    assert isinstance(reply.exception(), CommandReused)


async def test_copy_that_holds_the_asker_is_as_doubtful_as_the_message() -> None:
    envelope, reply = _asked()
    envelope.commit_sent()
    envelope.left_owner()
    held = envelope.held()
    envelope.answer("this reaches nobody")
    held.fail(DeadlinePassed())
    assert isinstance(reply.exception(), OutcomeUnknown)
