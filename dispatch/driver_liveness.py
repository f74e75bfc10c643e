"""Signs of life in the turns of a driver actor."""

from __future__ import annotations

from dataclasses import replace

from actors.behaviour import Commit, Done, Outcome, Step
from actors.messages import Emit, Tell, Turn
from dispatch import messages as m
from dispatch.domain.liveness import GRACE_MS
from dispatch.driver_state import DriverState

# Tag of the timer that ends the grace period of a lost session.
GRACE = "grace"
# Messages that a driver or its app causes. (For orders, FeedGrew has `alive`.)
_SIGNS = (m.PositionReported, m.OfferSeen, m.Connect, m.SetAvailability)


def is_sign(message: object) -> bool:
    """True for a message that the driver or its app has caused."""
    return isinstance(message, _SIGNS) or (isinstance(message, m.FeedGrew) and message.alive)


def without_session(done: Done, turn: Turn) -> Done:
    """The step, with the grace period's timer if it ends the driver's session."""
    state: DriverState = done.state
    if state.session is not None:
        return done
    gone = replace(state, signs=replace(state.signs, gone_ms=turn.now_ms))
    return replace(done, state=gone, wake_s=GRACE_MS / 1000, wake=GRACE)


def also(step: Step, tell: Tell) -> Step:
    """The step with one more tell."""
    if isinstance(step, Done):
        return replace(step, tells=(*step.tells, tell))
    then = step.then

    def and_tell(outcome: Outcome) -> Done:
        done = then(outcome)
        return replace(done, tells=(*done.tells, tell))

    return Commit(step.item, and_tell)


def emitting(step: Step, emits: tuple[Emit, ...]) -> Step:
    """The step with these frames before its own."""
    if isinstance(step, Done):
        return replace(step, emits=(*emits, *step.emits))
    then = step.then

    def and_emit(outcome: Outcome) -> Done:
        done = then(outcome)
        return replace(done, emits=(*emits, *done.emits))

    return Commit(step.item, and_emit)
