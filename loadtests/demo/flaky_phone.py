"""A driver's phone that can lose its connection: it ends without a close frame, and stays away for a while."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from loadtests.kit.client import Mall, Phone


class FlakyPhone(Phone):
    """Loses its connection when told to.

    Attributes:
        connection: the number of the present connection, from 1.
    """

    def __init__(self, mall: Mall) -> None:
        super().__init__(mall)
        self.connection = 0
        self._away_until_s = 0.0
        self._welcome_read = False

    @property
    def connected_now(self) -> bool:
        """True while the server is heard."""
        return self._welcome_read and not self.closed

    def lose(self, seconds: float) -> None:
        """Drop off the network: no close frame, and nothing comes through before that time is over."""
        self._away_until_s = asyncio.get_running_loop().time() + seconds
        link = None if self._ws is None else self._ws.get_extra_info("socket")
        if link is not None:
            # uvloop's own sockets cannot be shut down; a second descriptor of the same connection can.
            with suppress(OSError), socket.socket(fileno=os.dup(link.fileno())) as other:
                other.shutdown(socket.SHUT_RDWR)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Phone]:
        """As of any phone, once there is a network again."""
        self._welcome_read = False
        await asyncio.sleep(max(0.0, self._away_until_s - asyncio.get_running_loop().time()))
        async with super().connected():
            self._welcome_read = True
            self.connection += 1
            yield self
