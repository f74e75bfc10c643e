"""Ports for links between instances. Frames are bytes; a link keeps their order or ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from actors.values import frozen

# Limit of bytes queued on one link. Above it frames are refused at once: the peer is too slow.
LINE_BYTES_MAX = 8 * 1024 * 1024
FRAME_BYTES_MAX = 1024 * 1024


class LinkLost(Exception):
    """The link has ended, or could not be made. `refused`: the address refuses connections."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


@frozen
class Greeting:
    """Identity of the other end, proven in the handshake."""

    instance: str
    incarnation: str


class Link(Protocol):
    """Connection to a peer, after the handshake."""

    peer: Greeting

    def send(self, frame: bytes) -> bool:
        """Queue a frame. False if the link is full or closed. Does not block."""
        ...

    def close(self) -> None:
        """Close the link after its queued frames."""
        ...


# Called for each frame of a link, and once when it has ended.
Receive = Callable[[Link, bytes], None]
Ended = Callable[[Link], None]


class Transport(Protocol):
    """Makes and accepts links."""

    def serving(self, me: Greeting, receive: Receive, ended: Ended) -> AbstractAsyncContextManager[str]:
        """Accept links until the block ends. Gives the address that peers dial."""
        ...

    async def dial(self, address: str, me: Greeting, receive: Receive, ended: Ended) -> Link:
        """Dial a peer.

        Raises:
            LinkLost: no peer answers, not in time, or it is not of this cluster.
        """
        ...
