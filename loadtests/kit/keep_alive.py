"""A kept-alive connection as ordinary HTTP clients hold it, with nothing hidden.

A connection that the server has closed between two requests, or has announced to close, is opened anew for the
next one. A request whose connection ends without an answer is not repeated: it is a failure, and is told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from loadtests.kit.report import LoadReport
from loadtests.kit.wire import HttpWire

# Longer than the server's own limit for a request: an answer that it gives is heard.
CALL_S = 12.0
_LAST = re.compile(rb"\r\nconnection:\s*close\r\n", re.IGNORECASE)


class HttpAnswer(NamedTuple):
    """`status` 0: there was none, and `fault` says why: cut, refused, or late."""

    status: int
    body: bytes
    fault: str = ""

    @property
    def code(self) -> str:
        """The code of a problem; "" when the body is none."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        return str(found.get("code", "")) if isinstance(found, dict) else ""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def error(self) -> str:
        """Status and code, or the fault; "" when it is good."""
        return "" if self.good else self.fault or f"{self.status} {self.code}"


class KeepAliveWire(HttpWire):
    """Knows whether another request may be sent: not after the answer that said `Connection: close`."""

    def __init__(self) -> None:
        super().__init__(self._gone)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Part of an answer. Heads of this server are small and arrive whole."""
        if _LAST.search(data):
            self.usable = False
        super().data_received(data)

    def _gone(self) -> None:
        self.usable = False


class KeepAliveClient:
    """One request at a time, at the first of `urls` that takes a connection.

    Attributes:
        url: where the connection leads; "" without one.
        opened: connections so far.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._wire: KeepAliveWire | None = None
        self._anew = False
        self.url = ""
        self.opened = 0

    def use(self, urls: Sequence[str], *, anew: bool = False) -> None:
        """Go elsewhere from the next request on, unless the connection leads to one of these and is not to be
        made `anew`.
        """
        self._urls, self._anew = list(urls), anew

    async def call(self, request: bytes) -> HttpAnswer:
        """Send a whole request; returns what came of it, and never raises for the server's sake."""
        try:
            async with asyncio.timeout(CALL_S):
                wire = await self._connected()
                if wire is None:
                    return HttpAnswer(0, b"", "refused")
                return await self._ask(wire, request)
        except TimeoutError:
            self.close()
            return HttpAnswer(0, b"", "no answer in time")

    async def timed(self, report: LoadReport, name: str, request: bytes) -> HttpAnswer:
        """A call that goes into the report."""
        began = perf_counter()
        answer = await self.call(request)
        if answer.good:
            report.done(name, perf_counter() - began)
        else:
            report.failed(name, answer.error)
        return answer

    async def _ask(self, wire: KeepAliveWire, request: bytes) -> HttpAnswer:
        status, body = await wire.request(request)
        return HttpAnswer(status, body, "" if status else "cut")

    async def _connected(self) -> KeepAliveWire | None:
        wire = self._wire
        if wire is not None and wire.usable and self.url in self._urls and not self._anew:
            return wire
        self.close()
        for url in self._urls:
            parts = urlsplit(url)
            try:
                _, wire = await asyncio.get_running_loop().create_connection(
                    KeepAliveWire, parts.hostname or "127.0.0.1", parts.port or 80
                )
            except OSError:
                continue
            self._wire, self.url, self._anew = wire, url, False
            self.opened += 1
            return wire
        return None

    def close(self) -> None:
        """Hang up."""
        wire, self._wire, self.url = self._wire, None, ""
        if wire is not None:
            wire.close()
