"""What an actor is: a pure function from state and message to what should happen.

A turn never waits, so there is no reentrancy and no deadlock between actors, and the whole core can run
in a simulator. Nothing a turn asks for leaves it before its commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actors.messages import Emit, Query, Tell, Turn
from actors.values import frozen


@frozen
class Outcome:
    """The journal's word on one item: `ok` with facts, or the code of the guard that refused it.

    `stale` (the shard has a newer epoch) and `version` (the row moved) never reach the actor: the
    runtime reloads it instead.
    """

    code: str
    facts: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        return self.code == "ok"


# What `then` gets when the row has shown that the commit happened, but its answer is lost: ok, no facts.
SETTLED = Outcome("ok", {})


@frozen
class Done:
    """A turn with nothing (more) to write.

    Attributes:
        state: the new state; None keeps the present one.
        reply: what the asker gets.
        due_ms: a durable timer that the commit behind this step has set, so that it need not be polled.
        wake_s: ask for a `Wake` after that many seconds, with the tag `wake`.
    """

    state: Any = None
    reply: Any = None
    tells: tuple[Tell, ...] = ()
    emits: tuple[Emit, ...] = ()
    queries: tuple[Query, ...] = ()
    due_ms: int | None = None
    wake_s: float | None = None
    wake: str = ""


@frozen
class Commit:
    """A turn that must be written first.

    Attributes:
        item: what the journal writes; the runtime adds shard, epoch and writer when it is sent.
        then: what follows from the outcome: the new state, the reply, everything to tell.
    """

    item: dict[str, Any]
    then: Callable[[Outcome], Done]


Step = Done | Commit


def newest_wins(newer: object, unread: object) -> bool:
    """For actors that have no use for the older messages of a topic."""
    del newer, unread
    return True


class Behaviour(Protocol):
    """One kind of actor.

    Its states carry the ring of remembered commands as `recent` (see dedup.py), possibly empty.
    """

    kind: str
    mailbox_limit: int

    def restore(self, number: int, row: Mapping[str, Any], previous: Any) -> Any:
        """Build the state from the journal's row.

        `previous` is the state in memory before a reload, or None: what is volatile (sessions,
        positions) may be carried over from it, nothing else.
        """
        ...

    def activated(self, state: Any, turn: Turn) -> Done:
        """What to say after the actor was loaded: hints that another instance may have failed to give."""
        ...

    def decide(self, state: Any, message: object, turn: Turn) -> Step:
        """One turn. Pure: same arguments, same answer."""
        ...

    def supersedes(self, newer: object, unread: object) -> bool:
        """Whether a newer message of a topic makes an unread one worthless; otherwise both are decided on."""
        ...

    def idle_s(self, state: Any) -> float | None:
        """After how many idle seconds the actor may leave memory; None pins it."""
        ...
