"""Subscriber: what the hub needs of a socket; api.feed.session.Session is one."""

from __future__ import annotations

from typing import Any, Protocol

from api.auth.access_tokens import Principal


class Subscriber(Protocol):
    """A socket that waits for frames.

    Attributes:
        address: name under which actors reach it.
        shard: shard of its driver's actor.
        topic: the topic that it follows, or None.
        slot: its place in the timer wheel.
        principal: whose it is.
    """

    address: str
    shard: int
    topic: str | None
    slot: int
    principal: Principal

    def push(self, frame: dict[str, Any]) -> None:
        """Queue a frame that must arrive."""
        ...

    def push_latest(self, topic: str, frame: dict[str, Any] | bytes) -> None:
        """Queue a frame of which only the newest of its topic matters."""
        ...

    def close(self, code: int) -> None:
        """Close it after what is queued."""
        ...

    def heartbeat(self, now: float) -> float:
        """Ping or close a silent client; returns in how many seconds to look again."""
        ...
