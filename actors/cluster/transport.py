"""Lines between instances, as the cluster needs them. Frames are bytes; a line keeps their order or ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from actors.values import frozen

# More than this waiting in one line, and what comes next is refused at once: the peer is too slow.
LINE_BYTES_MAX = 8 * 1024 * 1024
FRAME_BYTES_MAX = 1024 * 1024


class LinkLost(Exception):
    """The line has ended, or could not be made. `refused`: nobody listens at that address."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


@frozen
class Greeting:
    """Who is at the other end; proven by the shared secret."""

    instance: str
    incarnation: str


class Link(Protocol):
    """One connection to a peer, from its greeting on."""

    peer: Greeting

    def send(self, frame: bytes) -> bool:
        """Queue a frame; False when the line is full or gone. Never waits."""
        ...

    def close(self) -> None:
        """End it, after what is queued."""
        ...


# Called for every frame of a line, and once when it has ended.
Receive = Callable[[Link, bytes], None]
Ended = Callable[[Link], None]


class Transport(Protocol):
    """How lines are made."""

    def serving(self, me: Greeting, receive: Receive, ended: Ended) -> AbstractAsyncContextManager[str]:
        """Take lines until the block ends; gives the address that peers dial."""
        ...

    async def dial(self, address: str, me: Greeting, receive: Receive, ended: Ended) -> Link:
        """Make a line.

        Raises:
            LinkLost: nobody there, not in time, or not one of us.
        """
        ...
