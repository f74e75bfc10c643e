"""Server on stock aiohttp (MALL_FAST_PATH=off): the interface of `Runner`, on aiohttp's public parts alone.

The fallback when aiohttp must be raised and its internals have changed. README.md says which limits are looser here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import hdrs, web

from api.contract.problems import Problem, problem_response
from api.transport.connection_limits import ConnectionCounts
from api.transport.errors import forget_frames
from api.transport.malformed import HEAD_LIMITS, fault_of, leaves_http
from api.transport.refusals import refusal
from config import metrics

log = structlog.get_logger()

SWEEP_S = 1.0
# A larger answer waits until its client reads it, within 10 s and at 500 B/s.
WAITING_BYTES = 64 * 1024
READ_S = 10.0
READ_BYTES_PER_S = 500

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StockRunner(web.AppRunner):
    """aiohttp's `AppRunner` with the limits of a head; a middleware in the application keeps the other limits."""

    __slots__ = ("_connection_counts",)

    def __init__(
        self,
        app: web.Application,
        connection_counts: ConnectionCounts,
        fresh_trace: Callable[[], str],
        **options: Any,
    ) -> None:
        app.middlewares.insert(0, _guard(fresh_trace))
        super().__init__(app, **HEAD_LIMITS, logger=_quiet_logger(), **options)
        self._connection_counts = connection_counts

    def count_open(self) -> int:
        """Number of open connections."""
        return 0 if self.server is None else len(self.server.connections)

    async def sweep(self) -> None:
        """Once a second close the youngest connections of an address that has too many, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if self.server is not None:
                self._end_excess(self.server.connections)

    def _end_excess(self, connections: list[web.RequestHandler]) -> None:
        entered: Counter[str] = Counter()
        try:
            for connection in connections:  # the oldest first
                peer = connection.peername
                address = peer[0] if isinstance(peer, tuple) else ""
                if self._connection_counts.enter(address):
                    entered[address] += 1
                else:
                    metrics.MALFORMED_REQUESTS.labels("too_many").inc()
                    connection.force_close()
        finally:
            for address in entered.elements():
                self._connection_counts.leave(address)


def _quiet_logger() -> logging.Logger:
    """The log of aiohttp without a stack for each client that does not speak HTTP; the guard logs internal errors."""
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Error handling request")


def _guard(fresh_trace: Callable[[], str]) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = fault_of(request)
        if reason is not None:
            response: web.StreamResponse = refusal(
                Problem("malformed_request"), reason, fresh_trace(), request
            )
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"  # aiohttp says so only to HTTP/1.1
            return response
        try:
            response = await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - an internal error is answered, too
            response = _failed(error, fresh_trace())
        if not response.prepared:
            if hdrs.UPGRADE in request.headers and leaves_http(request):
                response.force_close()
            await _send_in_time(request, response)
        return response

    return guard


def _failed(error: Exception, trace: str) -> web.Response:
    log.error("failed_request", trace_id=trace, exc_info=error)
    response = problem_response(
        Problem("outcome_unknown" if isinstance(error, TimeoutError) else "internal"), trace
    )
    response.headers["X-Trace-ID"] = trace
    response.force_close()
    return response


async def _send_in_time(request: web.Request, response: web.StreamResponse) -> None:
    """Send a large answer here, with a deadline; aiohttp finds it sent."""
    size_bytes = response.content_length or 0
    if size_bytes <= WAITING_BYTES:
        return
    try:
        async with asyncio.timeout(READ_S + size_bytes / READ_BYTES_PER_S):
            await response.prepare(request)
            await response.write_eof()
    except ConnectionError as error:
        forget_frames(error)  # aiohttp tries again, fails the same way, and closes the connection
    except TimeoutError:
        metrics.MALFORMED_REQUESTS.labels("slow_reader").inc()
        log.info("aborted_slow_reader", unsent_bytes=size_bytes, duration_s=READ_S)
        if request.transport is not None:
            request.transport.abort()
