"""What travels between actors, the edge and the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from actors.errors import ActorError, NotProcessed, OutcomeUnknown
from actors.values import frozen


class ActorId(NamedTuple):
    """Kind and number; together they decide the shard."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"


@frozen
class Command:
    """The identity of a client's intent.

    Attributes:
        id: hash of principal, command, target and the client's key.
        fingerprint: hash of the body; the same id with another fingerprint is refused.
    """

    id: str
    fingerprint: str


class Receiver(Protocol):
    """Where a reply goes: a future of this loop, or a link to the instance that asked."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...


class Envelope:
    """A message on its way to one actor, and what may be said of it when nobody answers.

    An asker may be told "not processed" only while that is certain. So an envelope knows how far it has come:

    - until `commit_sent()` nothing can have happened;
    - from then on a timeout means "unknown", until the journal answers or `not_written()` takes it back;
    - after `left_owner()` or `outcome_lost()` it is in doubt for good: an owner may have written it whose answer never
      came, so `fail` turns every "not processed" into "unknown".

    Attributes:
        until: monotonic second after which the turn is not begun any more.
        attempts: how often it was put back after its actor had to be reloaded.
        hop: how many links between instances it has crossed.
        epoch: of one that has crossed a link, the newest epoch of its shard that the sender had heard of. Who has
            taken the shard later does not decide it: another attempt may have been answered in between.
    """

    __slots__ = (
        "_answered", "_in_doubt", "_reply", "_sent", "attempts", "command", "epoch", "hop", "message", "to", "trace",
        "until",
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
        self.attempts = 0
        self.hop = hop
        self.epoch = epoch
        self._sent = False
        self._in_doubt = False
        self._reply = reply
        self._answered = False

    # -- how far it has come --------------------------------------------------------------------

    def commit_sent(self) -> None:
        """Its commit, or the ask itself, is on its way: from now on nobody here knows the outcome."""
        self._sent = True

    def not_written(self) -> None:
        """The journal or the owner has said that this attempt had no effect."""
        self._sent = False

    def left_owner(self) -> None:
        """Its owner gives it away. If a commit was sent, its outcome stays unknown to whoever has it next."""
        self._in_doubt = self._in_doubt or self._sent

    def outcome_lost(self) -> None:
        """An owner may have written it and its answer is lost."""
        self._in_doubt = True

    # -- its asker ------------------------------------------------------------------------------

    @property
    def given_up(self) -> bool:
        """True when the asker has got an answer already, such as that its time was up."""
        return self._answered or (self._reply is not None and self._reply.done())

    @property
    def asked(self) -> bool:
        """True while somebody waits for the reply."""
        return self._reply is not None

    def answer(self, value: object) -> None:
        """Give the reply, if somebody still waits for one."""
        reply = self._let_go()
        if reply is not None and not reply.done():
            reply.set_result(value)

    def fail(self, error: ActorError) -> None:
        """Answer with an error, if somebody still waits. In doubt nobody is told that nothing happened."""
        if self._in_doubt and isinstance(error, NotProcessed):
            error = OutcomeUnknown()
        reply = self._let_go()
        if reply is not None and not reply.done():
            reply.set_exception(error)

    def give_up(self, error: NotProcessed) -> None:
        """Nobody will answer any more: fail with this error if nothing can have happened, else with "unknown"."""
        self.fail(self.without_answer(error))

    def without_answer(self, error: NotProcessed) -> ActorError:
        """This error if nothing can have happened, else "unknown"."""
        return OutcomeUnknown() if self._sent else error

    def held(self) -> Envelope:
        """A copy that has taken the asker over: answering this one answers nobody any more."""
        copy = Envelope(
            self.to, self.message, self.until,
            command=self.command, trace=self.trace, reply=self._let_go(),
            hop=self.hop, epoch=self.epoch,
        )  # fmt: skip
        copy._sent, copy._in_doubt = self._sent, self._in_doubt
        return copy

    def _let_go(self) -> Receiver | None:
        """The future, for the last time: the envelope may lie about until its deadline, the reply shall not."""
        reply, self._reply = self._reply, None
        self._answered = self._answered or reply is not None
        return reply


class Seed(NamedTuple):
    """The row of an actor that was just created, so that it need not be read back.

    Attributes:
        at: monotonic second before it was written or read. Whoever has owned the shard since then has seen
            every change of it.
    """

    at: float
    row: Mapping[str, Any]


@frozen
class Tell:
    """A one-way message to another actor, sent after the commit. Losing it may cost time, never truth.

    Attributes:
        latest: when given, an unread message with the same value is replaced instead of queued behind.
        trace: the trace it belongs to, where that is not the one of the turn.
    """

    to: ActorId
    message: object
    latest: str | None = None
    trace: str | None = None


class Delivery(StrEnum):
    """How a frame is delivered; the values travel between instances."""

    # Bounded and in order.
    RELIABLE = "reliable"
    # The newest frame of a topic replaces an older one that waits.
    LATEST = "latest"
    # To all followers of a topic.
    TOPIC = "topic"
    # Ends the session with a close code.
    CLOSE = "close"


@frozen
class Emit:
    """A frame for a session or a topic, sent after the commit.

    Attributes:
        to: session address or topic name; the emitter knows which.
        delivery: how it is delivered.
        topic: what a `latest` frame replaces.
        frame: what to send, or a function that makes it when somebody listens; for `close`, the close code.
    """

    to: str
    delivery: Delivery
    frame: Any
    topic: str = ""

    def made(self) -> Any:
        """The frame itself, made now if it was not before; within the turn that has sent it."""
        return self.frame() if callable(self.frame) else self.frame


@frozen
class Query:
    """A read that an actor asks for in a turn; the answer comes back to it as a `QueryAnswer`."""

    name: str
    params: tuple[Any, ...] = ()
    tag: object = None


@frozen
class QueryAnswer:
    """The answer to a `Query`: whatever the journal's named read returns."""

    query: Query
    result: Any


@frozen
class Due:
    """A durable timer of the actor came due. Compared by its time: a timer that moved is not this one."""

    at_ms: int


@frozen
class QueryFailed:
    """There is no answer to a `Query`, and nobody tries any more."""

    query: Query


@frozen
class Wake:
    """A volatile timer: the actor asked to be woken; `tag` says for what."""

    tag: str = ""


@dataclass(slots=True)
class Turn:
    """What a turn may know besides state and message.

    `epoch` and `serial`: of two turns of an actor, on whatever instances, the later one has the greater pair, and no
    clock is asked. The epoch of the shard rises whenever it is claimed; `serial` counts the turns of one process.
    """

    now_ms: int
    trace: str = ""
    command: Command | None = None
    until: float = 0.0
    epoch: int = 0
    serial: int = 0
