"""Messages and envelopes: commands, tells, frames, queries and timers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from actors.errors import ActorError, NotProcessed, OutcomeUnknown
from actors.tracing import Span
from actors.values import frozen


class ActorId(NamedTuple):
    """Kind and number of an actor. Together they decide the shard."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"


@frozen
class Command:
    """Identity of a client's command, for deduplication.

    Attributes:
        id: hash of principal, command, target and the client's key.
        fingerprint: hash of the body; a known id with another fingerprint is refused.
    """

    id: str
    fingerprint: str


class Receiver(Protocol):
    """Destination of a reply: a future of this loop, or a link to the instance that asked."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...


class Envelope:
    """A message on its way to one actor, and how far its outcome is known.

    An asker may get "not processed" only while that is certain. So an envelope records how far it has come:

    - until `commit_sent()` nothing can have happened;
    - from then on a timeout means "unknown", until the journal answers or `not_written()` resets it;
    - after `left_owner()` or `outcome_lost()` it stays in doubt: an owner may have written it without an answer, so
      `fail` turns every "not processed" into "unknown".

    Attributes:
        until: monotonic second after which no turn begins.
        attempts: how often it was put back because its actor was reloaded.
        trace: its trace id, or the context of its recorded trace (tracing.py).
        span: the span of its turn, until it is answered; None if its trace is not recorded.
        hop: number of links between instances that it has crossed.
        epoch: after a link, the newest epoch of its shard that the sender knew. An owner that has taken the shard later
            does not decide it: another attempt may have been answered in between.
    """

    __slots__ = (
        "_answered", "_in_doubt", "_reply", "_sent", "attempts", "command", "epoch", "hop", "message", "span", "to",
        "trace", "until",
    )  # fmt: skip

    def __init__(
        self,
        to: ActorId,
        message: object,
        until: float,
        *,
        command: Command | None = None,
        trace: str = "",
        reply: Receiver | None = None,
        hop: int = 0,
        epoch: int = 0,
    ) -> None:
        self.to = to
        self.message = message
        self.until = until
        self.command = command
        self.trace = trace
        self.span: Span | None = None
        self.attempts = 0
        self.hop = hop
        self.epoch = epoch
        self._sent = False
        self._in_doubt = False
        self._reply = reply
        self._answered = False

    # -- how far it has come --------------------------------------------------------------------

    def commit_sent(self) -> None:
        """Note that its commit, or the ask itself, was sent: its outcome is unknown until an answer."""
        self._sent = True

    def not_written(self) -> None:
        """Note that the journal or the owner reported no effect."""
        self._sent = False

    def left_owner(self) -> None:
        """Note that it leaves its owner. If a commit was sent, its outcome stays unknown."""
        self._in_doubt = self._in_doubt or self._sent
        self._end_span("left its owner")

    def outcome_lost(self) -> None:
        """Note that an owner may have written it without an answer."""
        self._in_doubt = True

    # -- its asker ------------------------------------------------------------------------------

    @property
    def given_up(self) -> bool:
        """True if the asker has an answer already, for example a timeout."""
        return self._answered or (self._reply is not None and self._reply.done())

    @property
    def asked(self) -> bool:
        """True while the asker waits for the reply."""
        return self._reply is not None

    def answer(self, value: object) -> None:
        """Give the reply, if the asker still waits."""
        if self.span is not None:
            self._end_span("")
        reply = self._let_go()
        if reply is not None and not reply.done():
            reply.set_result(value)

    def fail(self, error: ActorError) -> None:
        """Answer with an error, if the asker still waits. In doubt, "not processed" becomes "unknown"."""
        if self._in_doubt and isinstance(error, NotProcessed):
            error = OutcomeUnknown()
        if self.span is not None:
            self._end_span(type(error).__name__)
        reply = self._let_go()
        if reply is not None and not reply.done():
            reply.set_exception(error)

    def give_up(self, error: NotProcessed) -> None:
        """End without an answer: fail with this error if nothing can have happened, else with "unknown"."""
        self.fail(self.without_answer(error))

    def without_answer(self, error: NotProcessed) -> ActorError:
        """Returns this error if nothing can have happened, else "unknown"."""
        return OutcomeUnknown() if self._sent else error

    def held(self) -> Envelope:
        """Move the asker to a copy. Answers to this envelope have no effect afterwards."""
        copy = Envelope(
            self.to,
            self.message,
            self.until,
            command=self.command,
            trace=self.trace,
            reply=self._let_go(),
            hop=self.hop,
            epoch=self.epoch,
        )
        copy._sent, copy._in_doubt = self._sent, self._in_doubt
        return copy

    def _end_span(self, failed: str) -> None:
        if self.span is not None:
            self.span.end(failed)
            self.span = None

    def _let_go(self) -> Receiver | None:
        """Take the receiver out, so that the envelope does not keep the reply in memory until its deadline."""
        reply, self._reply = self._reply, None
        self._answered = self._answered or reply is not None
        return reply


class Seed(NamedTuple):
    """Row of an actor that was just created, which saves reading it.

    Attributes:
        at: monotonic second before it was written or read. An owner of the shard since then has seen every later
            change.
    """

    at: float
    row: Mapping[str, Any]


@frozen
class Tell:
    """One-way message to another actor, sent after the commit. A loss may cost time, never correctness.

    Attributes:
        latest: a topic; an unread message of the same topic is replaced.
        trace: its trace, if that is not the turn's.
    """

    to: ActorId
    message: object
    latest: str | None = None
    trace: str | None = None


class Delivery(StrEnum):
    """Kind of delivery of a frame. The values travel between instances."""

    # Bounded and in order.
    RELIABLE = "reliable"
    # The newest frame of a topic replaces an older one that waits.
    LATEST = "latest"
    # To all subscribers of a topic.
    TOPIC = "topic"
    # Ends the session with a close code.
    CLOSE = "close"


@frozen
class Emit:
    """Frame for a session or a topic, sent after the commit.

    Attributes:
        to: session address or topic name.
        delivery: kind of delivery.
        topic: topic of a LATEST frame, which replaces an unsent one of the same topic.
        frame: the frame, or a function that makes it when it is needed; for CLOSE, the close code.
    """

    to: str
    delivery: Delivery
    frame: Any
    topic: str = ""

    def made(self) -> Any:
        """Returns the frame, made now if necessary. Call it within the turn that emits it."""
        return self.frame() if callable(self.frame) else self.frame


@frozen
class Query:
    """Read that a turn asks for. The actor gets the result as a `QueryAnswer`."""

    name: str
    params: tuple[Any, ...] = ()
    tag: object = None


@frozen
class QueryAnswer:
    """Result of a `Query`, as the journal's named read returns it."""

    query: Query
    result: Any


@frozen
class Due:
    """Durable timer that came due. An actor whose timer has another time by now ignores it."""

    at_ms: int


@frozen
class QueryFailed:
    """Failure of a `Query` after all tries."""

    query: Query


@frozen
class Wake:
    """Volatile timer that an actor has set with `wake_s`; `tag` is its purpose."""

    tag: str = ""


@dataclass(slots=True)
class Turn:
    """Context of a turn: time, trace, command and deadline.

    `epoch` and `serial`: of two turns of an actor, also on different instances, the later one has the greater pair. No
    clock is involved: the epoch of the shard rises with each claim, and `serial` counts the turns of one process.
    """

    now_ms: int
    trace: str = ""
    command: Command | None = None
    until: float = 0.0
    epoch: int = 0
    serial: int = 0
