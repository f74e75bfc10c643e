"""Commands of a socket that wait for their answer.

Nearly all are about one order or about the driver. Their answer enters the send queue in the turn that decides: no
task, no coroutine and no future lies between actor and socket, because each of them costs a turn of the loop.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from actors.errors import NoSuchActor
from actors.tracing import Span
from api.contract.problems import KINDS
from api.feed import frames
from api.feed.commands import each_result, not_found, offer_result, offer_wish, order_wish, untouched
from api.http.command_executor import problem_of, refusal_code
from api.http.services import Services
from api.tracing.sampling import Sampling
from api.transport.taskless import Taskless
from config import metrics
from dispatch.domain.driver import is_shift_end
from dispatch.messages import Reply

if TYPE_CHECKING:
    from actors.messages import Envelope
    from api.http.command_executor import CommandExecutor
    from dispatch.service import Caller

log = structlog.get_logger()


# Commands bear the same names in the metrics of REST and of the feed.
METRIC_NAMES = {
    "offer.accept": "accept",
    "offer.decline": "decline",
    "order.pickup": "pickup",
    "order.delivery": "delivery",
    "order.failure": "failure",
    "order.return": "return",
}


# Results that are no fault of the client.
_FAULTS = frozenset({"error", "internal", "outcome_unknown", "unavailable", "overloaded"})
# Such a command has a span also if its trace is not recorded.
LATE_S = 1.0


class CommandSession(Protocol):
    """Interface of a session to its pending commands."""

    services: Services

    @property
    def driver_id(self) -> str:
        """The driver's public id, for logs."""
        ...

    def push(self, frame: dict[str, Any]) -> None:
        """Queue a frame for reliable delivery."""
        ...

    def answered(self) -> None:
        """Note that a command is answered, so that the next one may be read."""
        ...


class PendingCommand:
    """One command and the session that gets its answer. Implements actors.messages.Receiver.

    Attributes:
        trace: of its own, so that the commands of a socket can be told apart.
        span: its span, where its trace is recorded.
    """

    __slots__ = ("_answered", "_began", "_frame", "_question", "_session", "span", "trace")

    def __init__(self, session: CommandSession, frame: Any, trace: str) -> None:
        self.trace = trace
        self.span: Span | None = None
        self._question: Envelope | None = None
        self._session = session
        self._frame = frame
        self._began = perf_counter()
        self._answered = False

    @property
    def carried(self) -> str:
        """The trace as what the command causes carries it on."""
        return self.trace if self.span is None else self.span.trace

    def asks(self, question: Envelope) -> None:
        """Keep the envelope that it waits for, to forget it with the answer; not if the answer came at once."""
        self._question = question
        if self._answered:
            self._forget()

    def _forget(self) -> None:
        if self._question is not None:
            self._session.services.commands.forget(self._question)
            self._question = None

    def done(self) -> bool:
        """True once it is answered. A command cannot be cancelled."""
        return self._answered

    def set_result(self, result: Any) -> None:
        """Answer with an actor's result: the three parts of a Reply."""
        frame = self._frame
        try:
            answer = Reply(*result)
            if isinstance(frame, frames.OF_OFFER):
                self._reply(results=[offer_result(frame.orders[0], answer)])
            elif (code := refusal_code(answer)) == "order_not_found":
                self._error(code, temporary=False)
            else:
                shown = {"result": answer.code, "status": answer.status, "version": answer.version}
                self._reply(ok=not code, **shown)
        except Exception as error:  # noqa: BLE001 - an error of one socket must not reach the actor that calls it
            self.set_exception(error)
        else:
            self._end(answer.code)

    def set_results(self, results: list[dict[str, Any]]) -> None:
        """Answer with the results of several orders."""
        try:
            self._reply(results=results)
        except Exception as error:  # noqa: BLE001 - as above
            self.set_exception(error)
        else:
            self._end("several")

    def is_shift_end(self, ends_ms: int) -> bool:
        """True if a shift may end then."""
        return is_shift_end(ends_ms, self._session.services.clock.wall() * 1000)

    def refuse(self, detail: str) -> None:
        """Answer with the fault of a field that only the time makes invalid."""
        self._error("invalid", temporary=False, detail=detail)
        self._end("invalid")

    def set_exception(self, error: BaseException) -> None:
        """Answer with a problem: an actor raised, or the answer cannot be shown."""
        frame, code = self._frame, "error"
        try:
            if isinstance(error, NoSuchActor) and isinstance(frame, frames.OF_OFFER):
                code = "order_not_found"
                self._reply(results=[not_found(frame.orders[0])])
            else:
                code = self._failed(error)
        except Exception as failure:
            log.error("failed_command", trace_id=self.trace, exc_info=failure)
        self._end(code)

    def _failed(self, error: BaseException) -> str:
        is_driver = isinstance(self._frame, frames.AvailabilityFrame)
        problem = problem_of(error, "not_found" if is_driver else "order_not_found")
        if problem.code == "internal":
            log.error("failed_command", trace_id=self.trace, command=self._frame.t, exc_info=error)
        self._error(problem.code, temporary=KINDS[problem.code].retryable, **untouched(problem))
        return problem.code

    def _reply(self, *, ok: bool = True, **more: Any) -> None:
        frame = {"t": "reply", "id": self._frame.id, "ok": ok}
        self._session.push({**frame, "trace_id": self.trace, **more})

    def _error(self, code: str, *, temporary: bool, **more: Any) -> None:
        frame = {"t": "error", "id": self._frame.id, "code": code, "temporary": temporary}
        self._session.push({**frame, "trace_id": self.trace, **more})

    def _end(self, result: str) -> None:
        if self._answered:
            return
        self._answered = True
        session, name, seconds = self._session, self._frame.t, perf_counter() - self._began
        self._forget()
        session.answered()
        counted = METRIC_NAMES.get(name, name)
        metrics.command_count(counted, "feed", result).inc()
        metrics.command_seconds(counted, "feed").observe(seconds)
        if session.services.sampling is not None:
            self._end_span(session.services.sampling, result, seconds)
        session.services.log.info(
            "answered_command",
            trace_id=self.carried,
            command=name,
            result=result,
            driver_id=session.driver_id,
            duration_s=round(seconds, 6),
            **_orders(self._frame),
        )

    def _end_span(self, sampling: Sampling, result: str, took_s: float) -> None:
        """End its span. A command that failed, or took long, has one also if its trace is not recorded."""
        failed = result if result in _FAULTS else ""
        span = self.span
        if span is None:
            if not failed and took_s <= LATE_S:
                return
            span = sampling.late(self.trace, None, None, self._frame.t, took_s)
        if span is not None:
            span.end(failed, **{"mall.result": result, "mall.driver_id": self._session.driver_id})


def _orders(frame: Any) -> dict[str, Any]:
    """Fields of a command's log line that name its orders."""
    if isinstance(frame, frames.OF_OFFER):
        if len(frame.orders) > 1:
            return {"order_ids": [f"ord_{number}" for number in frame.orders]}
        return {"order_id": f"ord_{frame.orders[0]}"}
    number = getattr(frame, "order_id", None)
    return {} if number is None else {"order_id": f"ord_{number}"}


def ask_actors(
    commands: CommandExecutor, asked: PendingCommand, caller: Caller, frame: frames.Command
) -> None:
    """Submit a command to its actor, or to those of several orders."""
    driver = caller.number
    match frame:
        case frames.AcceptFrame() | frames.DeclineFrame() if len(frame.orders) == 1:
            asked.asks(commands.submit(asked, caller, frame.orders[0], offer_wish(frame, driver)))
        case frames.AcceptFrame() | frames.DeclineFrame():
            # It waits only for actors' answers, which have deadlines, so it needs no task.
            Taskless(each_result(commands, caller, frame), asked.set_exception, asked.set_results).step()
        case frames.AvailabilityFrame(shift_ends_at_ms=int(ends_ms)) if not asked.is_shift_end(ends_ms):
            asked.refuse("shift_ends_at_ms: must be within two days of now, before or after")
        case frames.AvailabilityFrame():
            asked.asks(commands.submit_availability(asked, caller, frame.status, frame.shift_ends_at_ms))
        case _:
            asked.asks(commands.submit(asked, caller, frame.order_id, order_wish(frame, driver)))
