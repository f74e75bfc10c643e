"""From a frame to the dispatch office: one command, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.errors import ActorError, NoSuchActor
from api.feed import frames
from api.problems import problem_for
from dispatch.domain import ids
from dispatch.domain.ids import public_id
from dispatch.messages import Reply
from dispatch.service import Caller, Dispatch

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def decide_offer(
    dispatch: Dispatch, caller: Caller, frame: frames.Accept | frames.Decline, number: int
) -> dict[str, Any]:
    """The result for one order of an offer."""
    work: Awaitable[Reply]
    if isinstance(frame, frames.Accept):
        work = dispatch.accept(caller, number, frame.offer_id)
    else:
        work = dispatch.decline(caller, number, frame.offer_id, frame.reason)
    try:
        answer = await work
    except NoSuchActor:
        return {"order_id": public_id(ids.ORDER, number), "result": "order_not_found"}
    except ActorError as error:
        if len(frame.orders) == 1:
            raise
        # Another order of the same frame may have been won: each gets its own answer.
        problem = problem_for(error)
        shown = {"order_id": public_id(ids.ORDER, number), "result": problem.code, "temporary": True}
        return shown | ({"not_processed": True} if problem.kind.status == 503 else {})
    return {
        "order_id": public_id(ids.ORDER, number),
        "result": answer.code,
        "status": answer.status,
        "version": answer.version,
    }


async def decide(dispatch: Dispatch, caller: Caller, frame: Any) -> Reply:
    """The answer to a command about one order, or about the driver."""
    match frame:
        case frames.PickUp():
            return await dispatch.pick_up(caller, frame.order_id)
        case frames.Deliver():
            return await dispatch.deliver(caller, frame.order_id)
        case frames.Fail():
            return await dispatch.fail(caller, frame.order_id, frame.reason)
        case _:
            return await dispatch.set_availability(caller, frame.status)
