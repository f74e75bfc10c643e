"""Cell: the record of an active actor in memory.

An actor has no task and no queue of its own. 100,000 actors with a task and a queue each take half a gigabyte, and a
full collection over them takes half a second. Slotted records, with a mailbox only while there are messages, take a
twentieth of both.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from actors.behaviour import Behaviour, Commit
from actors.messages import ActorId, Envelope

LOADING = 0
READY = 1
FLUSHING = 2
STATES = ("loading", "ready", "flushing")


class Cell:
    """One activation of an actor: its state, its mailbox and its commit under way.

    Attributes:
        status: LOADING (its row is being read), READY, or FLUSHING (a commit is under way: there are no turns, because
            the state might not become true).
        shard: number of the shard; the ownership has its epoch, which is read when an item is sent.
        mailbox: messages in order of arrival; None while empty.
        latest: newest message per topic; None while empty.
        pending: the envelope and the commit that waits for the journal.
        writer: unique name of the commit under way; if the row has it, the commit was written.
        used_at: monotonic second of the last turn.
        queued: True while the cell is in the ready queue.
        turns: number of turns since the activation.
    """

    __slots__ = (
        "behaviour", "id", "latest", "mailbox", "pending", "queued",
        "shard", "state", "status", "turns", "used_at", "writer",
    )  # fmt: skip

    def __init__(self, actor: ActorId, behaviour: Behaviour, shard: int) -> None:
        self.id = actor
        self.behaviour = behaviour
        self.shard = shard
        self.state: Any = None
        self.status = LOADING
        self.mailbox: deque[Envelope] | None = None
        self.latest: dict[str, Envelope] | None = None
        self.pending: tuple[Envelope, Commit] | None = None
        self.writer = ""
        self.used_at = 0.0
        self.queued = False
        self.turns = 0

    def put(self, envelope: Envelope) -> bool:
        """Queue a message; False when the mailbox is full."""
        if self.mailbox is None:
            self.mailbox = deque()
        elif len(self.mailbox) >= self.behaviour.mailbox_limit:
            return False
        self.mailbox.append(envelope)
        return True

    def put_first(self, envelope: Envelope) -> None:
        """Put a message back in front after a turn without effect."""
        if self.mailbox is None:
            self.mailbox = deque()
        self.mailbox.appendleft(envelope)

    def put_latest(self, topic: str, envelope: Envelope) -> None:
        """Keep the newest message of a topic. The topic keeps its place, so that no topic starves.

        An unread message that the newest does not supersede is queued; a full mailbox drops it.
        """
        if self.latest is None:
            self.latest = {}
        unread = self.latest.get(topic)
        if unread is not None and not self.behaviour.supersedes(envelope.message, unread.message):
            self.put(unread)
        self.latest[topic] = envelope

    def take(self) -> Envelope | None:
        """Take the next message: queued ones first, then the newest of each topic."""
        if self.mailbox:
            envelope = self.mailbox.popleft()
            if not self.mailbox:
                self.mailbox = None
            return envelope
        if self.latest:
            topic = next(iter(self.latest))
            envelope = self.latest.pop(topic)
            if not self.latest:
                self.latest = None
            return envelope
        return None

    @property
    def waiting(self) -> bool:
        return bool(self.mailbox or self.latest)

    def expire(self, now: float) -> list[Envelope]:
        """Take out messages whose deadline has passed. The others keep their places."""
        late = [e for e in (*(self.mailbox or ()), *(self.latest or {}).values()) if e.until <= now]
        if late:
            self.mailbox = deque(e for e in self.mailbox or () if e.until > now) or None
            self.latest = {t: e for t, e in (self.latest or {}).items() if e.until > now} or None
        return late

    def empty(self) -> list[Envelope]:
        """Take out all waiting messages."""
        waiting = [*(self.mailbox or ()), *(self.latest or {}).values()]
        self.mailbox = self.latest = None
        return waiting

    def drain(self) -> list[Envelope]:
        """Take out all waiting messages, and the one whose commit is pending."""
        waiting = [self.pending[0]] if self.pending else []
        self.pending = None
        return waiting + self.empty()
