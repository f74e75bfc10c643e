"""Keeps a phone connected: reconnects, resumes, acknowledges, and repeats what was not answered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from typing import Any

import aiohttp

from loadtests.kit.client import Closed, Phone

# How often a quiet connection is looked at, in seconds.
BEAT_S = 0.5
# After a lost connection, in seconds; doubled up to the longest.
BACKOFF_S = 0.05
BACKOFF_LONGEST_S = 2.0
# Connections refused in a row until it is given up: about a minute and a half.
REFUSED_MAX = 50

LOST = (Closed, TimeoutError, aiohttp.ClientError, OSError)


class ConnectionGivenUp(Exception):
    """The server has refused this driver too often in a row."""


class PhoneConnection:
    """One driver's connection. `hold` runs as a task of its own; `ask` and `say_where` may be called at any time.

    Args:
        name: makes the keys of its commands its own; another one in every run.
        counts: `reconnects` and `repeats` are counted here.
    """

    def __init__(self, phone: Phone, name: str, counts: Counter[str]) -> None:
        self.phone = phone
        self._name = name
        self._counts = counts
        self._keys = itertools.count(1)
        # The server ignores a counter that does not rise, also one of a run before this one.
        self._cseq = itertools.count(int(time.time() * 1000))
        self._where: dict[str, float] | None = None
        self._up = asyncio.Event()
        self._look = asyncio.Event()
        self._owed: set[str] = set()
        self._acked = 0

    def heard(self, frame: dict[str, Any]) -> None:
        """Note a frame that asks something of the connection itself; called by the phone's on_frame."""
        if frame["t"] in ("ping", "auth.expiring"):
            self._owed.add(frame["t"])
            self._look.set()

    async def hold(self) -> None:
        """Keep the phone connected until cancelled.

        Raises:
            LineDead: the server refused too often in a row.
        """
        wait_s, refused = BACKOFF_S, 0
        while refused < REFUSED_MAX:
            refused += 1
            try:
                async with self.phone.connected():
                    wait_s, refused = BACKOFF_S, 0
                    await self._tell_where()
                    self._up.set()
                    await self._attend()
            except* LOST:
                wait_s = min(BACKOFF_LONGEST_S, wait_s * 2)
            finally:
                self._up.clear()
            self._counts["reconnects"] += 1
            await asyncio.sleep(wait_s)
        raise ConnectionGivenUp(self._name)

    async def _attend(self) -> None:
        """Until the socket is closed: answer pings, acknowledge, renew."""
        while not self.phone.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._look.wait()
            self._look.clear()
            with contextlib.suppress(*LOST):
                await self._pay()

    async def _pay(self) -> None:
        if "auth.expiring" in self._owed:
            await self.phone.ask({"t": "auth.refresh", "token": self.phone.mall.token})
        if "ping" in self._owed:
            await self.phone.send({"t": "pong"})
        self._owed.clear()
        if self.phone.position.last > self._acked:
            self._acked = self.phone.position.last
            await self.phone.send({"t": "ack", "seq": self._acked})

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Repeat a command under one key, over lost connections, until it has an answer that stays."""
        keyed = {**frame, "key": f"{self._name}-{next(self._keys)}"}
        while True:
            await self._up.wait()
            try:
                answer = await self.phone.ask(keyed)
            except LOST:
                self._look.set()
            else:
                if answer["t"] != "error" or not answer["temporary"]:
                    return answer
            self._counts["repeats"] += 1
            await asyncio.sleep(BACKOFF_S)

    async def say_where(self, place: dict[str, float]) -> None:
        """Tell the position, `lat` and `lon` in degrees; after a lost connection it is told again."""
        self._where = place
        await self._tell_where()

    async def _tell_where(self) -> None:
        if self._where is not None:
            with contextlib.suppress(*LOST):
                await self.phone.send({"t": "loc", "cseq": next(self._cseq), **self._where})
