"""A driver's phone that can lose its connection: the line is cut without a goodbye, and stays away for a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from loadtests.client import Mall, Phone
from loadtests.demo.positions import Positions


class Handset(Phone):
    """Loses its line when told to, and counts how it came back.

    Attributes:
        positions: what it was sent.
        connection: the how-maniest connection it is.
        resumed: connections that went on where the one before had ended.
    """

    def __init__(self, mall: Mall) -> None:
        super().__init__(mall)
        self.positions = Positions()
        self.connection = 0
        self.resumed = 0
        self._away_until_s = 0.0
        self._welcome_read = False

    @property
    def connected_now(self) -> bool:
        """True while the server is heard."""
        return self._welcome_read and not self.closed

    def lose(self, seconds: float) -> None:
        """Drop off the network: no close frame, and nothing comes through before that time is over."""
        self._away_until_s = asyncio.get_running_loop().time() + seconds
        line = None if self._ws is None else self._ws.get_extra_info("socket")
        if line is not None:
            with suppress(OSError):  # it may be gone already
                line.shutdown(socket.SHUT_RDWR)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Phone]:
        """As of any phone, once there is a network again."""
        self._welcome_read = False
        await asyncio.sleep(max(0.0, self._away_until_s - asyncio.get_running_loop().time()))
        async with super().connected():
            self._welcome_read = True
            self.connection += 1
            if self.welcome["resumed"]:
                self.resumed += 1
            yield self
