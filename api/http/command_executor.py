"""The one way in for commands: REST's requests, and the feed's frames of one order, of several, and of availability.

A command is admitted, put to its actor, and answered with a result or a problem. REST and frames of several orders wait
for the answer (`execute`); for all other frames a receiver gets it in the turn that decides (`submit`), for a task or a
future in between would cost more than the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from actors.errors import NoSuchActor, OutcomeUnknown
from api.contract.problems import KINDS, Problem, problem_for
from dispatch.domain import refusals
from dispatch.domain.commands import Wish
from dispatch.messages import Reply
from dispatch.service import Caller, Dispatch

if TYPE_CHECKING:
    from actors.messages import Envelope, Receiver
    from api.ratelimit.admission import AdmissionControl

# Results of commands on orders that were done. Any other is a row of KINDS, or hides one: see `refusal_code`.
GOOD = frozenset(
    {
        "won", "already_yours", "declined", "picked_up", "delivered", "failed", "cancelled", "released",
        "assigned", "ready_time_set", "reassigned", "returned",
    }
)  # fmt: skip


def refusal_code(answer: Reply) -> str:
    """Why a command came to nothing, as a row of KINDS; "" when it was done.

    Somebody else's order looks like one that there is not: ids cannot be probed.
    """
    if answer.code == refusals.NOT_YOURS:
        return "order_not_found"
    return answer.code if answer.code in KINDS else ""


def problem_of(error: BaseException, missing: str = "order_not_found") -> Problem:
    """What is said of a command that got an error for an answer.

    Args:
        error: what the runtime has raised. Who gave up waiting does not know the outcome.
        missing: the problem when there is no actor of that number.
    """
    if isinstance(error, NoSuchActor):
        return Problem(missing)
    gave_up = isinstance(error, TimeoutError) or not isinstance(error, Exception)
    return problem_for(OutcomeUnknown() if gave_up else cast(Exception, error))


class CommandExecutor:
    """Admits commands and puts them to their actors."""

    __slots__ = ("_admission", "_dispatch")

    def __init__(self, dispatch: Dispatch, admission: AdmissionControl) -> None:
        self._dispatch = dispatch
        self._admission = admission

    def admit(self, number: int, times: int) -> float:
        """Count a frame as so many commands of its user: 0, or in how many seconds it may come again.

        Commands over REST count against the same limit, with their requests, before their bodies are read.
        """
        return self._admission.count_commands(number, times)

    def submit(self, receiver: Receiver, caller: Caller, order: int, wish: Wish) -> Envelope:
        """Put a command to its order; the receiver is told in the turn that decides, perhaps before this returns."""
        return self._dispatch.command_for(receiver, caller, order, wish)

    def submit_availability(self, receiver: Receiver, caller: Caller, status: str) -> Envelope:
        """The same for a driver who goes online or offline."""
        return self._dispatch.set_availability_for(receiver, caller, status)

    def forget(self, question: Envelope) -> None:
        """What was submitted is answered: its deadline does not matter any more."""
        self._dispatch.runtime.forget(question)

    async def execute(self, caller: Caller, order: int, wish: Wish) -> Reply:
        """Put a command to its order and wait for the answer.

        Raises:
            Problem: there is no such order.
            ActorError: there is no answer; `problem_of` says what that means.
        """
        try:
            return await self._dispatch.command(caller, order, wish)
        except NoSuchActor as error:
            raise problem_of(error) from None

    async def execute_availability(self, caller: Caller, status: str) -> Reply:
        """Put a driver's going online or offline to its actor, and wait for the answer.

        Raises:
            ActorError: as `execute`.
        """
        return await self._dispatch.set_availability(caller, status)

    async def execute_offline(self, caller: Caller, driver: int) -> Reply:
        """The same for an operator who takes a driver offline.

        Raises:
            Problem: there is no such driver.
            ActorError: as `execute`.
        """
        try:
            return await self._dispatch.take_offline(caller, driver)
        except NoSuchActor as error:
            raise problem_of(error, "driver_not_found") from None
