"""Request bodies on one connection: limits of size and framing, and the discarding of a body that nobody reads.

aiohttp parses a refused body for two more seconds, so that its client can read the answer: a chunk of one byte takes
six, and a megabyte of them 50 to 90 ms of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiohttp import StreamReader, web

from api.contract.problems import Problem
from api.transport.aiohttp_internals import is_upgrade
from api.transport.errors import WastefulBody
from api.transport.malformed import leaves_http
from config import metrics

# Limit of the framing beside the content: some 10,000 chunks, which take 7 ms to parse.
FRAMING_BYTES_MAX = 64 * 1024
# Bytes of an unread body that are dropped unparsed, so that the client can read its answer.
DISCARD_BYTES_MAX = 1024 * 1024


class RequestBodies(web.RequestHandler):
    """aiohttp's `RequestHandler` with limits of request bodies."""

    __slots__ = ("_body_bytes", "_discarded", "_discarded_bytes", "_framed")

    def __init__(self, manager: Any, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(manager, loop=loop, **options)
        # The body that is being received, and its bytes after the head, framing included.
        self._framed: StreamReader | None = None
        self._body_bytes = 0
        # Resolved when enough of a refused body was dropped.
        self._discarded: asyncio.Future[None] | None = None
        self._discarded_bytes = 0

    def _refusal(self, problem: Problem, reason: str) -> web.Response:
        raise NotImplementedError

    def _part_of_body(self, content: StreamReader, size_bytes: int) -> None:
        """Count the bytes of a body, framing included: a chunk of one byte takes six."""
        if content.is_eof():
            return
        if self._framed is not content:
            self._framed, self._body_bytes = content, 0
        self._body_bytes += size_bytes
        if self._body_bytes - content.total_bytes > FRAMING_BYTES_MAX:
            metrics.MALFORMED_REQUESTS.labels("wasteful_body").inc()
            self._fail_body(WastefulBody())

    def _discard(self, size_bytes: int) -> None:
        self._discarded_bytes += size_bytes
        if self._discarded_bytes > DISCARD_BYTES_MAX:
            self._end_discarding()

    def _end_discarding(self) -> None:
        if self._discarded is not None and not self._discarded.done():
            self._discarded.set_result(None)

    def _fail_body(self, error: Exception) -> None:
        """Raise the error in the handler that reads the body; the connection closes after the answer."""
        request = self._current_request
        if request is None or request.content.is_eof():
            return
        request.content.set_exception(error)
        request.content.feed_eof()  # otherwise the rest would be waited for
        self.close()

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send the answer; close the connection with it when no next request can be read."""
        # Almost all are plain. isinstance() would use the abstract Mapping that a response is, which is slow.
        plain = type(resp) is web.Response
        if not plain and isinstance(resp, web.HTTPException) and "X-Trace-ID" not in resp.headers:
            # The router's own answer to a request that it could not match.
            resp = self._refusal(Problem("malformed_request"), "unroutable")
            resp.force_close()
        refused = not request.content.is_eof() and request.content_length is None
        if refused or (is_upgrade(request) and leaves_http(request)):
            return self._finish_last(request, resp, start_time)
        return super().finish_response(request, resp, start_time)

    async def _finish_last(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the last answer, and drop the rest of its request unparsed for a moment.

        A connection that is closed with unread bytes is reset, and its client might lose the answer.
        """
        if not resp.prepared:
            resp.force_close()
        done = await super().finish_response(request, resp, start_time)
        self.close()
        if request.content.is_eof() or self.transport is None:
            return done
        self._discarded = self._loop.create_future()
        self._resume_transport_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                await self._discarded
        request.content.feed_eof()
        return done
