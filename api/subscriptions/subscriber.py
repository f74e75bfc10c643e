"""Subscriber: the interface of a socket to the hub; api.feed.session.Session implements it."""

from __future__ import annotations

from typing import Any, Protocol

from api.auth.access_tokens import Principal


class Subscriber(Protocol):
    """A socket that receives frames.

    Attributes:
        address: name under which actors reach it.
        shard: shard of its driver's actor.
        topic: the topic that it follows, or None.
        slot: its place in the timer wheel.
        principal: the user whose socket it is.
    """

    address: str
    shard: int
    topic: str | None
    slot: int
    principal: Principal

    def push(self, frame: dict[str, Any]) -> None:
        """Queue a frame for reliable delivery."""
        ...

    def push_latest(self, topic: str, frame: dict[str, Any] | bytes) -> None:
        """Queue a frame that replaces the waiting one of its topic."""
        ...

    def close(self, code: int) -> None:
        """Close the socket after the queued frames."""
        ...

    def heartbeat(self, now: float) -> float:
        """Ping or close a silent client; returns the seconds until the next call."""
        ...
