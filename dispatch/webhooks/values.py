"""Values of webhooks: what a claim gives, what a request answers, what is settled."""

from __future__ import annotations

from dataclasses import field

from actors.values import frozen

# Of messages to one endpoint, which are not in the log.
PING, GAP = "ping", "mall.gap"


def message_id(pos: int) -> str:
    """The id of an event outside: the same in each repetition, so that receivers can drop them."""
    return f"evt_{pos}"


@frozen
class Filters:
    """Which events an endpoint wants. An empty filter lets all pass."""

    types: tuple[str, ...] = ()
    zone_ids: tuple[int, ...] = ()
    store_ids: tuple[int, ...] = ()
    # The store that owns the endpoint hears only of itself.
    owner_store_id: int | None = None


@frozen
class LoggedEvent:
    """An event as it is sent: its body was rendered once, when it came into the log."""

    pos: int
    type: str
    body: bytes
    trace: str


@frozen
class Batch:
    """A part of the log.

    Attributes:
        events: those that pass the filters.
        seen: every event up to here is in `events` or does not pass.
        log_begin: the oldest position that is kept.
        log_end: the newest position.
    """

    events: tuple[LoggedEvent, ...]
    seen: int
    log_begin: int
    log_end: int


@frozen
class Trouble:
    """Failures of a stream since its last success; times are of the sender's clock.

    Attributes:
        failures: of the event at the cursor, in a row.
        failing_since: when the first failure since a success was.
        refusals: of the event at the cursor, since `refused_since`.
    """

    failures: int = 0
    failing_since: float | None = None
    refusals: int = 0
    refused_since: float | None = None


@frozen
class Replay:
    """A repetition of the log above `reached`, up to `to_pos`. Without types: those of the endpoint."""

    id: int
    reached: int
    to_pos: int
    types: tuple[str, ...] = ()
    trouble: Trouble = field(default_factory=Trouble)


@frozen
class WebhookClaim:
    """An endpoint that this sender may send to until its lease ends.

    Attributes:
        number: rises with each claim of the endpoint; the fence of what is settled.
        version, wakes: of the row, when it was claimed.
        live: events behind the cursor are due.
        ping: id of a test event that is wanted.
        lease_s: how long the lease is.
    """

    endpoint: int
    number: int
    version: int
    wakes: int
    url: str
    secrets: tuple[bytes, ...]
    filters: Filters
    on_refused: str
    reached: int
    trouble: Trouble
    live: bool
    ping: str | None
    replay: Replay | None
    lease_s: float


@frozen
class Message:
    """One request to an endpoint. `secrets` are sealed."""

    endpoint: int
    url: str
    secrets: tuple[bytes, ...]
    id: str
    body: bytes
    trace: str
    replay: bool = False


@frozen
class Answer:
    """What came of a request. Without an answer, `status` is None and `error` says why."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None
    took_ms: int = 0

    @property
    def good(self) -> bool:
        """True when the receiver has taken the message."""
        return self.status is not None and 200 <= self.status <= 299


@frozen
class Attempt:
    """A request and its outcome, for the record. `at` is of the sender's clock."""

    message: str
    pos: int | None
    replay: int | None
    at: float
    answer: Answer


@frozen
class DeadLetter:
    """An event that an endpoint has refused for good."""

    pos: int
    status: int
    refusals: int


@frozen
class LiveProgress:
    """The cursor's side of a settlement. `disable` says why the endpoint ends; `gap` is what was lost."""

    reached: int
    trouble: Trouble
    disable: str | None = None
    gap: tuple[int, int] | None = None


@frozen
class ReplayProgress:
    """A replay's side of a settlement."""

    id: int
    reached: int
    trouble: Trouble
    due_s: float = 0.0
    done: bool = False
    error: str | None = None


@frozen
class ClaimRelease:
    """The end of a claim. `due_s`: when to send again; None: when an event comes."""

    due_s: float | None


@frozen
class Settlement:
    """What a claim has done since its last settlement. A `step` that was stored is not stored again."""

    endpoint: int
    claim: int
    step: int
    version: int
    wakes: int
    attempts: tuple[Attempt, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    live: LiveProgress | None = None
    replay: ReplayProgress | None = None
    pinged: str | None = None
    release: ClaimRelease | None = None
