"""One HTTP connection with deadlines for head, body and reading, and with refusals in the API's form.

aiohttp's protocol has one timer, for keep-alive, which cannot also limit how long a head takes. It has no limit for a
body or a slow reader. It answers a request that cannot be parsed as HTTP/1.0 in plain text and repeats the bytes that
were sent. This class adds the missing limits and answers.

A request costs two comparisons: a sweep over all connections once a second (`listener.py`) finds the ones that are
over a limit, so each limit below is a second less than the promised one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, cast

import structlog
from aiohttp import StreamReader, hdrs, web

from api.contract.problems import Problem, problem_response
from api.transport.aiohttp_internals import (
    Unparsed,
    answer_as_http_11,
    is_upgrade,
    make_request,
    name_server,
    written_bytes,
)
from api.transport.connection_limits import ConnectionCounts
from api.transport.errors import BrokenBody, SlowBody, forget_frames
from api.transport.fast_path import FastPath
from api.transport.malformed import HEAD_BYTES_MAX, fault_of, is_plain
from api.transport.parser_errors import judge
from api.transport.refusals import refusal
from api.transport.request_bodies import RequestBodies
from api.transport.socket_queue import queued_bytes
from api.transport.taskless import Taskless
from api.transport.whole_answer import whole_answer
from config import metrics

log = structlog.get_logger()

# A head takes at most 10 s from its first byte, and 15 s from the connection's start.
HEAD_S = 9.0
FIRST_HEAD_S = 14.0
# A body takes at most 10 s (api/http/request.py gives up earlier), and comes at 500 B/s after 2 s of grace.
BODY_S = 9.0
BODY_GRACE_S = 2.0
BODY_BYTES_PER_S = 500
# A client reads at least 500 B/s in any 10 s in which bytes wait for it.
READ_S = 9.0
READ_BYTES_PER_S = 500

# The process has stood still when the last sweep is this old: sweeps are 50 ms apart.
STALLED_S = 0.5

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# Server field of answers that do not come from our applications: it does not name the library.
name_server("mall")


class OpenConnections(Protocol):
    """The connections of one port, as one connection uses them; api.transport.listener.ConnectionListener."""

    open: set[Connection]
    connection_counts: ConnectionCounts
    fresh_trace: Callable[[], str]
    fast_path: FastPath | None
    swept_at: float
    requests_count: int

    def enter(self, connection: Connection) -> int:
        """Register a new connection; returns the part of the sweep that it belongs to."""
        ...

    def leave(self, connection: Connection, part: int) -> None:
        """Remove a lost connection."""
        ...

    def defer_close(self, end: Callable[[], None]) -> None:
        """Run the rest of a lost connection's end later, in order."""
        ...


class Connection(RequestBodies):
    """aiohttp's `RequestHandler` (`aiohttp/web_protocol.py`) with deadlines and our form of refusals.

    It depends on aiohttp's internals: `aiohttp_internals.py` lists the parts that are used and what each means, and
    tests/unit/api/test_transport.py fails when one of them works differently.

    While the connection answers a prompt request (`fast_path.py`) without a task, `_waiter` is kept in `_parked`:
    further requests are queued, and `start()` stays asleep.
    """

    __slots__ = (
        "_accepted_at",
        "_answers",
        "_body",
        "_body_at",
        "_counted",
        "_head_at",
        "_head_bytes",
        "_listening",
        "_parked",
        "_part",
        "_read_bytes",
        "_unsent_at",
        "_unsent_bytes",
        "_wire",
        "_written_bytes",
    )

    def __init__(
        self, listening: OpenConnections, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(cast(Any, listening), loop=loop, **options)
        self._listening = listening
        self._parked: asyncio.Future[None] | None = None
        # Kept until the connection is lost; aiohttp drops its own reference when closing begins.
        self._wire: asyncio.Transport | None = None
        self._counted = ""
        self._part = 0
        self._accepted_at = 0.0
        self._head_at = 0.0
        self._head_bytes = 0
        self._body: StreamReader | None = None
        self._body_at = 0.0
        self._unsent_at = 0.0
        self._unsent_bytes = self._read_bytes = self._written_bytes = self._answers = 0

    # -- connect and disconnect ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)
        self._accepted_at = self._loop.time()
        peer = self._wire.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        if not self._listening.connection_counts.enter(address):
            self._say(Problem("too_many_connections"), "too_many", self._wire)
            self.force_close()
            return
        self._counted = address
        self._part = self._listening.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self in self._listening.open:
            self._listening.leave(self, self._part)
            self._listening.connection_counts.leave(self._counted)
        self._wire = self._body = self._framed = None
        self._end_discarding()
        self._unpark()  # or `start()` would never end
        end = partial(super().connection_lost, exc)
        if self._payload_parser is None:
            end()
        else:
            self._listening.defer_close(end)

    def _process_keepalive(self) -> None:
        """Apply the keep-alive limit; a connection with a begun head is not idle."""
        if self._head_at:
            self._keepalive_handle = None
            return
        super()._process_keepalive()

    # -- receive --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._discarded is not None:
            self._discard(len(data))
            return
        waiter, count = self._waiter, self._request_count
        if waiter is None or self._listening.fast_path is None or waiter.done():
            super().data_received(data)
        else:
            self._waiter = None  # so that nothing is woken before the check below
            try:
                super().data_received(data)
            finally:
                self._waiter = waiter
            if self._messages and not self._answers_promptly(waiter):
                waiter.set_result(None)
        if waiter is not None:
            if waiter.done() or self._parked is not None or self._request_count > count:
                self._head_at = 0.0
            elif data:
                self._part_of_head(len(data))
        elif self._messages:
            if isinstance(self._messages[-1][0], Unparsed):
                self._fail_body(BrokenBody())
        elif data and self._request_count == 0:
            self._part_of_head(len(data))  # it came before `start()` began to wait
        elif data and self._current_request is not None:
            self._part_of_body(self._current_request.content, len(data))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume only when reading is paused: each finished body calls this, and aiohttp would parse each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _answers_promptly(self, waiter: asyncio.Future[None]) -> bool:
        """Start to answer the only waiting request without a task; False when that is not possible."""
        message, payload = self._messages[0]
        fast_path = self._listening.fast_path
        # After a freeze the client may have gone, and sent the request to another instance.
        stalled = self._loop.time() - self._listening.swept_at > STALLED_S
        if stalled or len(self._messages) > 1 or isinstance(message, Unparsed) or fast_path is None:
            return False
        match = fast_path.find(message)
        if match is None or not payload.is_eof() or self._paused or self._buffer_paused:
            return False
        assert self._parser is not None
        request = make_request(self, message, payload, match)
        if not is_plain(request, message.upgrade):
            return False
        self._messages.popleft()
        self._parser.message_consumed()
        self._listening.requests_count += 1
        self._waiter, self._parked = None, waiter
        self._current_request, self._request_in_progress = request, True
        Taskless(match.handler(request), self._broke_off, self._answered).step()
        return True

    def _broke_off(self, error: BaseException) -> None:
        """The handler of a prompt request raised, or the connection is lost already."""
        request = self._current_request
        if request is not None:
            self._answered(self.handle_error(request, 500, error))

    def _answered(self, response: web.StreamResponse) -> None:
        """Finish a prompt request: send the answer, and wait for the next request."""
        self._current_request, self._request_in_progress = None, False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)  # shutdown() waits for this request
        self._unpark()
        wire = self.transport
        if wire is None:
            return
        keep = not (self._close or self._force_close or response.keep_alive is False)
        keep = keep and hdrs.CONNECTION not in response.headers
        try:
            wire.write(whole_answer(response, keep=keep))
        except TypeError as error:
            log.error("failed_request", exc_info=error)
            keep = False
        if not keep:
            self.force_close()
            return
        self._keepalive = True
        idle_until = self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(idle_until, self._process_keepalive)
        if self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)  # requests that came meanwhile

    def _unpark(self) -> None:
        if self._parked is not None:
            self._waiter, self._parked = self._parked, None

    def _part_of_head(self, size_bytes: int) -> None:
        if not self._head_at:
            self._head_at, self._head_bytes = self._loop.time(), 0
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            self._end(Problem("headers_too_large"), "head_too_long")

    def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        if request_handler is self._request_handler and not is_plain(request, is_upgrade(request)):
            reason = fault_of(request)
            if reason is not None:
                request_handler = self._refusing(reason, "malformed_request")
        return super()._handle_request(request, start_time, request_handler)

    # -- refusals and errors --------------------------------------------------------------------------

    def _make_error_handler(self, err_info: Unparsed) -> Handler:
        return self._refusing(*judge(err_info.exc))

    def _refusing(self, reason: str, code: str) -> Handler:
        """A handler that refuses and closes the connection: the start of the next request is unknown."""

        async def refuse(request: web.BaseRequest) -> web.StreamResponse:
            response = self._refusal(Problem(code), reason)
            response.force_close()
            answer_as_http_11(request)
            self.close()
            return response

        return refuse

    def _refusal(self, problem: Problem, reason: str) -> web.Response:
        return refusal(problem, reason, self._listening.fresh_trace(), self._current_request)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer for an error that a handler let through: an internal error, logged like any other."""
        del message
        trace = self._listening.fresh_trace()
        log.error("failed_request", trace_id=trace, exc_info=exc)
        if written_bytes(request) > 0:
            raise ConnectionError("the answer has begun already")
        response = problem_response(Problem("outcome_unknown" if status == 504 else "internal"), trace)
        response.headers["X-Trace-ID"] = trace
        response.force_close()
        return response

    def _say(self, problem: Problem, reason: str, wire: asyncio.Transport) -> None:
        """Write a refusal while no request is being answered, so that no other answer is on its way."""
        response = self._refusal(problem, reason)
        body = cast(bytes, response.body)
        lines = [f"HTTP/1.1 {response.status} {response.reason}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        wire.write("\r\n".join(lines).encode() + body)

    def _end(self, problem: Problem, reason: str) -> None:
        if self._wire is not None and not self._wire.is_closing():
            self._say(problem, reason, self._wire)
        self.force_close()

    # -- deadlines ------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Close the connection if it is over a limit; `now` in seconds of the loop's clock."""
        wire = self._wire
        if wire is None:
            return
        is_socket = self._payload_parser is not None
        if is_socket and not wire.is_closing():
            return  # it has its own limits (send queue, heartbeat), which tell the app what to do
        unsent_bytes = wire.get_write_buffer_size()
        if unsent_bytes or self._unsent_at:
            self._sweep_reader(wire, unsent_bytes, now)
        if is_socket or self.transport is None:
            return  # a closing connection is only limited in its reading
        if self._waiter is not None:
            self._sweep_head(now)
        elif self._current_request is not None:
            self._sweep_body(self._current_request.content, now)

    def _sweep_head(self, now: float) -> None:
        self._body = None
        first = self._request_count == 0
        if not (self._head_at and now - self._head_at > HEAD_S) and not (
            first and now - self._accepted_at > FIRST_HEAD_S
        ):
            return
        if self._head_at:
            self._end(Problem("request_timeout"), "slow_head")
        else:
            metrics.MALFORMED_REQUESTS.labels("no_head").inc()
            self.force_close()  # it has sent no request, so it gets no answer

    def _sweep_body(self, content: StreamReader, now: float) -> None:
        if content.is_eof():
            self._body = None
            return
        if self._body is not content:
            self._body, self._body_at = content, now
            return
        age_s = now - self._body_at
        if age_s > BODY_S or content.total_bytes < BODY_BYTES_PER_S * (age_s - BODY_GRACE_S):
            metrics.MALFORMED_REQUESTS.labels("slow_body").inc()
            self._fail_body(SlowBody())

    async def _drain_helper(self) -> None:
        """Wait for room in the transport, without aiohttp's cycle of frame, future and error."""
        try:
            await super()._drain_helper()
        except Exception as error:
            forget_frames(error)
            raise

    def _sweep_reader(self, wire: asyncio.Transport, unsent_bytes: int, now: float) -> None:
        if not unsent_bytes:
            self._unsent_at = 0.0
            return
        # Bytes in the kernel are not read either. The kernel takes up to 256 KB at once, so without this count a client
        # that reads 8 KB/s would show no progress for half a minute.
        unsent_bytes += queued_bytes(wire)
        written = written_bytes(self._current_request)
        # A new answer is written only when there is room, so the one before was read.
        answers = self._request_count - len(self._messages)
        if not self._unsent_at or answers != self._answers:
            self._unsent_at, self._unsent_bytes, self._read_bytes = now, unsent_bytes, 0
            self._answers, self._written_bytes = answers, written
            return
        # Large answers are written in pieces, as room is made.
        self._read_bytes += max(0, self._unsent_bytes + written - self._written_bytes - unsent_bytes)
        self._unsent_bytes, self._written_bytes = unsent_bytes, written
        age_s = now - self._unsent_at
        if age_s <= READ_S:
            return
        if self._read_bytes >= READ_BYTES_PER_S * age_s:
            self._unsent_at, self._read_bytes = now, 0
        else:
            metrics.MALFORMED_REQUESTS.labels("slow_reader").inc()
            log.info("aborted_slow_reader", unsent_bytes=unsent_bytes, duration_s=round(age_s, 1))
            wire.abort()
