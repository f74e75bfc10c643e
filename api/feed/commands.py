"""Translation of command frames into wishes for orders, and of an offer's replies into results."""

from __future__ import annotations

from actors.errors import ActorError
from api.contract.problems import Problem
from api.feed import frames
from api.http.command_executor import CommandExecutor, problem_of
from dispatch.domain import commands as d
from dispatch.domain import ids
from dispatch.domain.ids import public_id
from dispatch.messages import Reply
from dispatch.service import Caller


def offer_wish(frame: frames.OfOffer, driver: int) -> d.Wish:
    """The wish for each order of an offer."""
    if isinstance(frame, frames.AcceptFrame):
        return d.Accept(driver, frame.offer_id, frame.trip_id)
    return d.Decline(driver, frame.offer_id, frame.reason, frame.trip_id)


def order_wish(frame: frames.OfOrder, driver: int) -> d.Wish:
    """The wish for a carried order."""
    match frame:
        case frames.PickUpFrame():
            return d.PickUp(driver)
        case frames.DeliverFrame():
            return d.Deliver(driver, frame.pin)
        case frames.FailFrame():
            return (d.BringBack if frame.returning else d.Fail)(driver, frame.reason)
        case frames.ReturnFrame():
            return d.ReturnGoods(driver)


def offer_result(number: int, answer: Reply) -> dict[str, object]:
    """The result for one order of an offer."""
    code, status, version = answer
    return {"order_id": public_id(ids.ORDER, number), "result": code, "status": status, "version": version}


def not_found(number: int) -> dict[str, object]:
    """The result for an order that does not exist."""
    return {"order_id": public_id(ids.ORDER, number), "result": "order_not_found"}


def untouched(problem: Problem) -> dict[str, object]:
    """Retry fields of a command that certainly had no effect: whether to send it again, and when."""
    if problem.kind.status != 503:
        return {}
    return {"not_processed": True, "retry_after_ms": int(problem.headers["Retry-After"]) * 1000}


async def each_result(
    commands: CommandExecutor, caller: Caller, frame: frames.OfOffer
) -> list[dict[str, object]]:
    """Execute a command on several orders, one after the other; each gets its own result, for one may be taken."""
    wish = offer_wish(frame, caller.number)
    return [await _one_result(commands, caller, number, wish) for number in frame.orders]


async def _one_result(
    commands: CommandExecutor, caller: Caller, number: int, wish: d.Wish
) -> dict[str, object]:
    try:
        return offer_result(number, await commands.execute(caller, number, wish))
    except Problem:
        return not_found(number)
    except ActorError as error:
        problem = problem_of(error)
        shown = {"order_id": public_id(ids.ORDER, number), "result": problem.code, "temporary": True}
        return shown | untouched(problem)
