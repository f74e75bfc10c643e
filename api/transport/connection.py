"""One connection: how long it may take, and what it hears when it does not speak HTTP.

The stock protocol has one timer, for keep-alive; that cannot also limit how long a head takes. A body and a
reader have no limit at all. What cannot be parsed is answered as HTTP/1.0 in plain text, with the bytes that
were sent. This one closes all of that.

It costs a request two comparisons: what takes too long is found by a sweep over all connections once a second
(`listener.py`), so each limit below is a second less than what is promised.
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

# From its first byte, a head takes at most 10 s; from the connection's begin 15 s.
HEAD_S = 9.0
FIRST_HEAD_S = 14.0
# A body takes at most 10 s (api/http/request.py gives up earlier), and comes at 500 B/s after 2 s of grace.
BODY_S = 9.0
BODY_GRACE_S = 2.0
BODY_BYTES_PER_S = 500
# In any 10 s in which something waits to be read, a reader takes 500 B/s.
READ_S = 9.0
READ_BYTES_PER_S = 500

# So long after the last sweep the process has stood still: they are 50 ms apart.
STALLED_S = 0.5

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# Whatever answers without our applications, its Server field tells nobody which library is behind it.
name_server("mall")


class OpenConnections(Protocol):
    """The connections of one port, as one of them needs them; api.transport.listener.ConnectionListener."""

    open: set[Connection]
    connection_counts: ConnectionCounts
    fresh_trace: Callable[[], str]
    fast_path: FastPath | None
    swept_at: float
    requests_count: int

    def enter(self, connection: Connection) -> int:
        """A new connection; returns which part of the sweep it belongs to."""
        ...

    def leave(self, connection: Connection, part: int) -> None:
        """A connection that is lost."""
        ...

    def defer_close(self, end: Callable[[], None]) -> None:
        """Have the rest of a lost connection done in its turn."""
        ...


class Connection(RequestBodies):
    """aiohttp's `RequestHandler` (`aiohttp/web_protocol.py`) with deadlines and our form of refusals.

    It relies on how aiohttp works inside: `aiohttp_internals.py` lists what it uses and what each part means, and
    tests/unit/api/test_transport.py fails when one of them works differently.

    While it answers a prompt request (`fast_path.py`) by itself, `_waiter` is put aside in `_parked`: what comes in
    is queued, and `start()` sleeps on.
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
        # Stays until the connection is lost; aiohttp forgets its own when it begins to close.
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

    # -- begin and end --------------------------------------------------------------------------------

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
        """The limit of an idle connection. Once a head has begun it is not idle any more."""
        if self._head_at:
            self._keepalive_handle = None
            return
        super()._process_keepalive()

    # -- what comes in --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._discarded is not None:
            self._discard(len(data))
            return
        waiter, count = self._waiter, self._request_count
        if waiter is None or self._listening.fast_path is None or waiter.done():
            super().data_received(data)
        else:
            self._waiter = None  # so that nobody is woken before we have had a look
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
            self._part_of_head(len(data))  # it came before `start()` could begin to wait
        elif data and self._current_request is not None:
            self._part_of_body(self._current_request.content, len(data))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Every body that was read asks for it, and the stock one parses nothing and wakes the transport each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _answers_promptly(self, waiter: asyncio.Future[None]) -> bool:
        """Begin to answer the only request that waits, if that can be done here and now."""
        message, payload = self._messages[0]
        fast_path = self._listening.fast_path
        # After a freeze whoever asked may have gone, and asked elsewhere.
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
        """The handler of a prompt request has let an error through, or the connection is lost already."""
        request = self._current_request
        if request is not None:
            self._answered(self.handle_error(request, 500, error))

    def _answered(self, response: web.StreamResponse) -> None:
        """The end of a prompt request: send the answer, and wait for the next one."""
        self._current_request, self._request_in_progress = None, False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)  # who shuts down waits for us
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
            self._waiter.set_result(None)  # they came meanwhile

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

    # -- what goes out instead of an answer -----------------------------------------------------------

    def _make_error_handler(self, err_info: Unparsed) -> Handler:
        return self._refusing(*judge(err_info.exc))

    def _refusing(self, reason: str, code: str) -> Handler:
        """A handler that refuses, and ends the connection: where the next request begins is not known."""

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
        """What a handler let through: a fault of ours, told like any other."""
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
        """A refusal where no request is being answered, so that nothing else is on its way."""
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

    # -- what takes too long --------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """End the connection if it takes too long; `now` in seconds of the loop's clock."""
        wire = self._wire
        if wire is None:
            return
        is_socket = self._payload_parser is not None
        if is_socket and not wire.is_closing():
            return  # it has limits of its own (api/feed/send_queue.py, its heartbeat), which tell the app what to do
        unsent_bytes = wire.get_write_buffer_size()
        if unsent_bytes or self._unsent_at:
            self._sweep_reader(wire, unsent_bytes, now)
        if is_socket or self.transport is None:
            return  # what closes is only to be read
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
            self.force_close()  # it has asked nothing, so it hears nothing

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
        """Wait for room. aiohttp's frame holds the future that holds the error that holds the frame."""
        try:
            await super()._drain_helper()
        except Exception as error:
            forget_frames(error)
            raise

    def _sweep_reader(self, wire: asyncio.Transport, unsent_bytes: int, now: float) -> None:
        if not unsent_bytes:
            self._unsent_at = 0.0
            return
        # What lies in the kernel was not read either. It takes up to 256 KB at a gulp, so that for half a minute
        # nothing would seem to move while a client reads 8 KB/s.
        unsent_bytes += queued_bytes(wire)
        written = written_bytes(self._current_request)
        # An answer that was written waited for room: the one before was read.
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
