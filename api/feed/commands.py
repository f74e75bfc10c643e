"""What a frame wants of an order."""

from __future__ import annotations

from typing import TypeAlias

from actors.errors import ActorError, NoSuchActor
from api.contract.problems import Problem, problem_for
from api.feed import frames
from dispatch.domain import commands as d
from dispatch.domain import ids
from dispatch.domain.ids import public_id
from dispatch.messages import Reply
from dispatch.service import Caller, Dispatch

# One or several orders of an offer; one order.
OfOffer: TypeAlias = frames.Accept | frames.Decline
OfOrder: TypeAlias = frames.PickUp | frames.Deliver | frames.Fail


def offer_wish(frame: OfOffer, driver: int) -> d.Wish:
    """What is wanted of each order of an offer."""
    if isinstance(frame, frames.Accept):
        return d.Accept(driver, frame.offer_id)
    return d.Decline(driver, frame.offer_id, frame.reason)


def order_wish(frame: OfOrder, driver: int) -> d.Wish:
    """What is wanted of a carried order."""
    match frame:
        case frames.PickUp():
            return d.PickUp(driver)
        case frames.Deliver():
            return d.Deliver(driver)
        case frames.Fail():
            return d.Fail(driver, frame.reason)


def offer_result(number: int, answer: Reply) -> dict[str, object]:
    """The result for one order of an offer."""
    code, status, version = answer
    return {"order_id": public_id(ids.ORDER, number), "result": code, "status": status, "version": version}


def not_found(number: int) -> dict[str, object]:
    """The result for an order that there is not."""
    return {"order_id": public_id(ids.ORDER, number), "result": "order_not_found"}


def untouched(problem: Problem) -> dict[str, object]:
    """What an answer says beside the code when the command certainly had no effect, and when to send it again."""
    if problem.kind.status != 503:
        return {}
    return {"not_processed": True, "retry_after_ms": int(problem.headers["Retry-After"]) * 1000}


async def one_of_several(
    dispatch: Dispatch, caller: Caller, frame: OfOffer, number: int
) -> dict[str, object]:
    """The result for an order beside others: one of them may have been won, so each gets its own answer."""
    try:
        return offer_result(number, await dispatch.command(caller, number, offer_wish(frame, caller.number)))
    except NoSuchActor:
        return not_found(number)
    except ActorError as error:
        problem = problem_for(error)
        shown = {"order_id": public_id(ids.ORDER, number), "result": problem.code, "temporary": True}
        return shown | untouched(problem)
