"""Interface of an actor kind: a pure function from state and message to a result, `Done` or `Commit`.

A turn never waits. So there is no reentrancy and no deadlock between actors, and a simulator can run them. No effect of
a turn is carried out before its commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actors.messages import Emit, Query, Tell, Turn
from actors.values import frozen


@frozen
class Outcome:
    """The journal's result for one item: `ok` with facts, or the code of the guard that refused it.

    `stale` (the shard has a newer epoch) and `version` (the row has changed) do not reach the actor: the runtime drops
    or reloads it instead.
    """

    code: str
    facts: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        return self.code == "ok"


# Passed to `then` when the commit's answer is lost, but the row shows that it was written: `ok`, without facts.
SETTLED = Outcome("ok", {})


@frozen
class Done:
    """Result of a turn that has nothing to write, or whose commit is written.

    Attributes:
        state: the new state; None keeps the present one.
        reply: the asker's reply.
        due_ms: due time of a durable timer that the commit has set; it is armed without waiting for the poll.
        wake_s: send the actor a `Wake` after this many seconds, with the tag `wake`.
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
    """Result of a turn that must be written before anything else happens.

    Attributes:
        item: what the journal writes; the commit lane adds shard, epoch and writer when it sends the item.
        then: makes the new state, the reply and the effects from the outcome.
    """

    item: dict[str, Any]
    then: Callable[[Outcome], Done]


Step = Done | Commit


def newest_wins(newer: object, unread: object) -> bool:
    """`supersedes` of actors that need only the newest message of a topic."""
    del newer, unread
    return True


class Behaviour(Protocol):
    """Behaviour of one kind of actor.

    Its states have a field `recent`, the ring of remembered commands (dedup.py), possibly empty.
    """

    kind: str
    mailbox_limit: int

    def restore(self, number: int, row: Mapping[str, Any], previous: Any) -> Any:
        """Build the state from the journal's row.

        `previous` is the state in memory before a reload, or None. Only volatile fields (sessions, positions) may be
        copied from it.
        """
        ...

    def activated(self, state: Any, turn: Turn) -> Done:
        """Effects after a load: messages that another instance may have failed to send."""
        ...

    def decide(self, state: Any, message: object, turn: Turn) -> Step:
        """Take one turn. Pure: the same arguments give the same result."""
        ...

    def supersedes(self, newer: object, unread: object) -> bool:
        """True if a newer message of a topic replaces an unread one; otherwise both get a turn."""
        ...

    def idle_s(self, state: Any) -> float | None:
        """Idle seconds after which the actor may be passivated; None: never."""
        ...
