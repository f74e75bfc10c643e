"""Command executor: the one way in for commands, from REST requests and from feed frames.

A command is admitted, sent to its actor, and answered with a result or a problem. REST requests and frames of several
orders wait for the answer (`execute`). For all other frames a receiver gets the answer in the turn that decides
(`submit`), because a task or a future in between would cost more than the command.
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

# Results of successful commands. Any other result is a code of KINDS, or is shown as another one: see `refusal_code`.
GOOD = frozenset(
    {
        "won", "already_yours", "declined", "picked_up", "delivered", "failed", "cancelled", "released",
        "assigned", "ready_time_set", "reassigned", "returning", "returned",
    }
)  # fmt: skip


def refusal_code(answer: Reply) -> str:
    """The code of KINDS for a refused command; "" for a successful one.

    Another user's order looks like one that does not exist, so that ids cannot be probed.
    """
    if answer.code == refusals.NOT_YOURS:
        return "order_not_found"
    return answer.code if answer.code in KINDS else ""


def problem_of(error: BaseException, missing: str = "order_not_found") -> Problem:
    """The problem for a command that got an error for an answer.

    Args:
        error: raised by the runtime. After a timeout the outcome is unknown.
        missing: code of the problem when no actor has that number.
    """
    if isinstance(error, NoSuchActor):
        return Problem(missing)
    gave_up = isinstance(error, TimeoutError) or not isinstance(error, Exception)
    return problem_for(OutcomeUnknown() if gave_up else cast(Exception, error))


class CommandExecutor:
    """Admits commands and sends them to their actors."""

    __slots__ = ("_admission", "_dispatch")

    def __init__(self, dispatch: Dispatch, admission: AdmissionControl) -> None:
        self._dispatch = dispatch
        self._admission = admission

    def admit(self, number: int, times: int) -> float:
        """Count a frame as this many commands of its user: 0, or the seconds until it may come again.

        Commands over REST count against the same limit, when their requests are admitted.
        """
        return self._admission.count_commands(number, times)

    def submit(self, receiver: Receiver, caller: Caller, order: int, wish: Wish) -> Envelope:
        """Send a command to its order; the receiver is called in the turn that decides, perhaps before this returns."""
        return self._dispatch.command_for(receiver, caller, order, wish)

    def submit_availability(
        self, receiver: Receiver, caller: Caller, status: str, shift_ends_ms: int | None = None
    ) -> Envelope:
        """Send a driver's going online or offline; otherwise as `submit`."""
        return self._dispatch.set_availability_for(receiver, caller, status, shift_ends_ms)

    def forget(self, question: Envelope) -> None:
        """Cancel the deadline of an answered command."""
        self._dispatch.runtime.forget(question)

    async def execute(self, caller: Caller, order: int, wish: Wish) -> Reply:
        """Send a command to its order and wait for the answer.

        Raises:
            Problem: the order does not exist.
            ActorError: no answer; `problem_of` says what that means.
        """
        try:
            return await self._dispatch.command(caller, order, wish)
        except NoSuchActor as error:
            raise problem_of(error) from None

    async def execute_availability(
        self, caller: Caller, status: str, shift_ends_ms: int | None = None
    ) -> Reply:
        """Send a driver's going online or offline to its actor, and wait for the answer.

        Raises:
            ActorError: as `execute`.
        """
        return await self._dispatch.set_availability(caller, status, shift_ends_ms)

    async def execute_offline(self, caller: Caller, driver: int) -> Reply:
        """Take a driver offline for an operator, and wait for the answer.

        Raises:
            Problem: the driver does not exist.
            ActorError: as `execute`.
        """
        try:
            return await self._dispatch.take_offline(caller, driver)
        except NoSuchActor as error:
            raise problem_of(error, "driver_not_found") from None
