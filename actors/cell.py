"""The record of an active actor.

No task and no queue per actor: 100,000 actors with a task and a queue each take half a gigabyte and a
full collection over them takes half a second; slotted records with a mailbox only while it is needed
take a twentieth of both.
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
    """One activation.

    Attributes:
        status: LOADING (its row is being read), READY, or FLUSHING (a commit is under way: the mailbox
            is parked, so no turn ever runs on a state that might not become true).
        shard: number of the shard; its epoch is read from the ownership when an item is sent.
        mailbox: messages in order of arrival; None while empty.
        latest: newest message per topic; None while empty.
        pending: the envelope and the commit that wait for the journal.
        writer: unique name of the commit under way; found in the row, it proves that it was written.
        used_at: monotonic second of the last turn.
        queued: True while it stands in the ready queue.
        turns: taken since it came into memory.
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
        """Give a message its place back after its turn came to nothing."""
        if self.mailbox is None:
            self.mailbox = deque()
        self.mailbox.appendleft(envelope)

    def put_latest(self, topic: str, envelope: Envelope) -> None:
        """Keep the newest message of a topic. The key stays where it was, so no topic starves.

        An unread one that the newest does not supersede is queued; a full mailbox drops it.
        """
        if self.latest is None:
            self.latest = {}
        unread = self.latest.get(topic)
        if unread is not None and not self.behaviour.supersedes(envelope.message, unread.message):
            self.put(unread)
        self.latest[topic] = envelope

    def take(self) -> Envelope | None:
        """The next message: queued ones first, then the latest values."""
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
        """Take out what is too late; the rest keeps its place."""
        late = [e for e in (*(self.mailbox or ()), *(self.latest or {}).values()) if e.until <= now]
        if late:
            self.mailbox = deque(e for e in self.mailbox or () if e.until > now) or None
            self.latest = {t: e for t, e in (self.latest or {}).items() if e.until > now} or None
        return late

    def empty(self) -> list[Envelope]:
        """Everything that waits; the mailbox is empty afterwards."""
        waiting = [*(self.mailbox or ()), *(self.latest or {}).values()]
        self.mailbox = self.latest = None
        return waiting

    def drain(self) -> list[Envelope]:
        """Everything that waits, and the message under way."""
        waiting = [self.pending[0]] if self.pending else []
        self.pending = None
        return waiting + self.empty()
