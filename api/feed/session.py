"""Session: the I/O of one socket. Frames go to actors as commands, answers go out; the rules are in state.py."""

from __future__ import annotations

import asyncio
import contextlib
from math import ceil
from typing import Any

import structlog
from aiohttp import WSMsgType

from actors.shards import shard_of
from api.auth.access_tokens import LEEWAY_S, BadToken, Blind, Principal
from api.feed import frames
from api.feed.feed_socket import CONGESTED_BYTES, FeedSocket
from api.feed.frame_limits import FRAMES_PER_S
from api.feed.pending_command import PendingCommand, ask_actors
from api.feed.send_queue import Overflow, SendQueue
from api.feed.state import PING_S, Admission, Disposition, FeedState, command_cost
from api.http.pipeline import UNSEEN
from api.http.services import Services
from api.subscriptions import close_codes
from config import metrics
from dispatch import feed_frames
from dispatch.domain import ids
from dispatch.domain.driver import UNREACHABLE
from dispatch.domain.geo import Place
from dispatch.driver_actor import driver_ref
from dispatch.service import Caller

log = structlog.get_logger()
_RELIABLE = metrics.FEED_FRAMES.labels("reliable")
_LATEST = metrics.FEED_FRAMES.labels("latest")

# Bytes of frames that leave in one write.
PACKET_BYTES = 64 * 1024
# A client that does not read the frames queued before its close is cut off after this long.
CLOSE_GRACE_S = 2.0


class Session:
    """A driver's socket from its welcome on; it carries out the decisions of state.py.

    Args:
        epoch, position: the client's last position in the feed; None for a new client.
    """

    __slots__ = (
        "_send_queue",
        "_writing",
        "address",
        "hub",
        "number",
        "opened_at",
        "opened_ms",
        "principal",
        "services",
        "shard",
        "slot",
        "state",
        "topic",
        "trace",
        "ws",
    )  # fmt: skip

    def __init__(
        self,
        ws: FeedSocket,
        services: Services,
        principal: Principal,
        trace: str,
        epoch: str | None = None,
        position: int | None = None,
    ) -> None:
        self.ws = ws
        self.services = services
        self.hub = services.hub
        self.principal = principal
        self.trace = trace
        self.address = f"fed_{services.entropy.token()[:16]}@{services.hub.home}"
        self.shard = shard_of(driver_ref(principal.number))
        self.opened_ms = int(services.clock.wall() * 1000)
        self.opened_at = services.clock.monotonic()
        self.state = FeedState(self.opened_at, principal.expires_at, epoch, position)
        # Order among the sessions of a driver; its actor assigns it.
        self.number: tuple[int, int] | None = None
        self.slot = 0
        self.topic: str | None = None
        self._send_queue = SendQueue()
        self._writing = False

    # -- send ---------------------------------------------------------------------------------

    def push(self, frame: dict[str, Any]) -> None:
        """Queue a frame for reliable delivery; a client that is too slow for it is closed, and resumes."""
        state = self.state
        if state.closing:
            return
        if (found := state.advance(frame)) is not Disposition.SEND:
            self._handle_gap(found)
            return
        if frame["t"] == "welcome":
            frame = self._enrich_welcome(frame)
        elif frame["t"] == "event":
            metrics.FEED_LATE_SECONDS.observe(max(0.0, self.services.clock.wall() - frame["at_ms"] / 1000))
        try:
            self._send_queue.put(frame)
        except Overflow:
            self.close(close_codes.SLOW_CONSUMER)
            return
        _RELIABLE.inc()
        self._write()

    def _handle_gap(self, found: Disposition) -> None:
        """Bind again, so that the driver's actor repeats lost entries, or close for a snapshot."""
        if found is Disposition.GAP:
            self.hub.bind_again(self)
        elif found is Disposition.LOST:
            self.close(close_codes.POSITION_LOST)

    def push_latest(self, topic: str, frame: dict[str, Any] | bytes) -> None:
        """Queue a frame that replaces the waiting one of its topic."""
        if self.state.closing:
            return
        if topic == "availability" and isinstance(frame, dict):
            self.state.unreachable = frame["data"]["state"] == UNREACHABLE
        if topic == "zone" and isinstance(frame, dict):
            number = ids.parse_id(ids.ZONE, frame["data"]["zone_id"])
            self.hub.subscribe(self, feed_frames.board_topic(number or 0))
        self._send_queue.put_latest(topic, frame)
        _LATEST.inc()
        self._write()

    def _enrich_welcome(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Add the edge's members to the welcome; from now on the session follows its zone's board."""
        number = ids.parse_id(ids.ZONE, frame["zone_id"])
        self.hub.subscribe(self, feed_frames.board_topic(number or 0))
        metrics.FEED_RESUMES.labels("resumed" if frame["resumed"] else "snapshot").inc()
        return frame | {
            "session": self.address.partition("@")[0],
            "ping_s": int(PING_S),
            "server_time_ms": int(self.services.clock.wall() * 1000),
            "limits": {"frame_bytes": frames.FRAME_BYTES_MAX, "frames_per_s": int(FRAMES_PER_S)},
        }

    @property
    def driver(self) -> int:
        """The driver's number."""
        return self.principal.number

    @property
    def driver_id(self) -> str:
        """The driver's public id, for logs."""
        return f"drv_{self.principal.number}"

    def _write(self) -> None:
        """Schedule the waiting frames to be written at the end of this turn of the loop.

        An entry and its reply leave together, because a packet costs more than a frame.
        """
        if not self._writing:
            self._writing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write at once while the transport is not congested; a task writes the rest."""
        request = self.ws.request
        transport = None if request is None else request.transport
        if self.state.closing or transport is None or transport.get_write_buffer_size() > CONGESTED_BYTES:
            self.hub.tasks.create_task(self._drain(), name="socket writer")
            return
        packet = self._send_queue.take(PACKET_BYTES)
        if packet and not transport.is_closing():
            transport.write(packet)
        if packet and self._send_queue:
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._writing = False

    async def _drain(self) -> None:
        """Write until nothing waits; then close, if that was decided."""
        try:
            request = self.ws.request
            while self.state.closing != close_codes.SLOW_CONSUMER and (
                packet := self._send_queue.take(PACKET_BYTES)
            ):
                if request is None or request.transport is None:
                    raise ConnectionResetError
                request.transport.write(packet)
                await request.writer.drain()
            if code := self.state.closing:
                async with asyncio.timeout(CLOSE_GRACE_S):
                    await self.ws.close(code=code, message=close_codes.REASONS[code].encode())
        except Exception as error:
            # The client is gone or too slow even for the close: the transport is dropped, the log remains.
            if not isinstance(error, ConnectionError | TimeoutError | RuntimeError):
                log.error("failed_socket", trace_id=self.trace, exc_info=error)
            self._abort()
        finally:
            self._writing = False

    def _abort(self) -> None:
        transport = self.ws.request.transport if self.ws.request is not None else None
        if transport is not None:
            transport.abort()

    def close(self, code: int) -> None:
        """Close with a code after the queued frames. A stuck writer is cut off; the log has the rest."""
        if not self.state.close(code):
            return
        metrics.FEED_CLOSES.labels(code).inc()
        if self._writing and code in (close_codes.SLOW_CONSUMER, close_codes.NO_PONG):
            self._abort()
        else:
            self._write()
            asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self._abort)

    async def end(self, code: int) -> None:
        """Close from the socket's own handler.

        It waits until the close was sent, because the socket ends when the handler does.
        """
        if self.state.close(code):
            metrics.FEED_CLOSES.labels(code).inc()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE_S):
                while self._writing:  # noqa: ASYNC110 - a moment, once per socket
                    await asyncio.sleep(0.005)
        if not self.ws.closed:
            self._writing = True
            await self._drain()

    def heartbeat(self, now: float) -> float:
        """Check the socket; returns the seconds until the next check."""
        state, services = self.state, self.services
        if state.closing:
            return PING_S
        is_revoked = services.tokens.is_revoked(self.principal)
        found = state.heartbeat(now, services.clock.steady(), self.hub.awake_at, is_revoked=is_revoked)
        if found.close:
            self.close(found.close)
        elif found.ping:
            self.push_latest("ping", {"t": "ping"})
        if self.hub.is_far(self.shard):
            self.hub.bind_again(self)  # in case a frame was lost unnoticed
        if found.expires_in_s is not None:
            self.push_latest("auth", {"t": "auth.expiring", "in_s": found.expires_in_s})
        return found.next_s

    # -- receive ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the socket ends. Texts go to `heard` as they are read; this loop gets all other messages."""
        self.ws.listen(self)
        try:
            async for message in self.ws:
                if message.type is WSMsgType.TEXT:
                    self.heard(message.data)
                elif message.type is WSMsgType.BINARY and not self.state.closing:
                    self.state.receive(None, self.services.clock.monotonic())
                    self._refuse(frames.BadFrame("frames are text"))
                elif message.type is WSMsgType.ERROR and isinstance(message.data, int):
                    self.close(message.data)
        finally:
            self.ws.listen(None)  # breaks a cycle, which would keep the session until a full collection

    def heard(self, text: str | None) -> None:
        """Handle one frame. The connection calls it, and cannot handle an error."""
        try:
            self._on_text(text)
        except Exception as error:
            log.error("failed_session", trace_id=self.trace, exc_info=error)
            self.close(close_codes.INTERNAL)

    def flooded(self) -> None:
        """Close: the client has sent far more than the limit."""
        self.close(close_codes.RATE_LIMITED)

    def _on_text(self, text: str | None) -> None:
        frame = self.state.receive(text, self.services.clock.monotonic())
        if isinstance(frame, frames.BadFrame):
            self._refuse(frame)
        elif frame is not None:
            self._dispatch(frame)

    def _refuse(self, bad: frames.BadFrame) -> None:
        """Answer a frame that cannot be decoded with an error; too many of them end the session."""
        if not bad.is_reading and (code := self.state.strike()):
            self.close(code)
            return
        self._error("bad_frame", bad.frame_id, bad.detail, temporary=False)

    def _error(self, code: str, frame_id: Any, detail: str, *, temporary: bool, **extra: Any) -> None:
        frame = {"t": "error", "id": frame_id, "code": code, "temporary": temporary, "trace_id": self.trace}
        self.push(frame | ({"detail": detail} if detail else {}) | extra)

    def _dispatch(self, frame: frames.Frame) -> None:
        """Handle a frame, if the token still allows it."""
        state = self.state
        if state.unreachable and state.comes_back(frame):
            self.services.dispatch.alive(self.principal.number)
        match frame:
            case frames.PingFrame():
                self.push({"t": "pong", "id": frame.id})
            case frames.PongFrame():
                pass
            case frames.SeenFrame():
                self.services.dispatch.offer_seen(self.principal.number, frame.offer_id)
            case frames.AckFrame():
                state.ack(frame.seq)
            case frames.AuthRefreshFrame():
                self._refresh(frame)
            case _ if (admission := self._admit(frame)) is not Admission.ADMITTED:
                self._turn_away(frame, admission)
            case frames.LocationFrame():
                place = Place(frame.lat, frame.lon)
                self.services.dispatch.locate(
                    self.principal.number,
                    place,
                    frame.cseq,
                    self.trace,
                    accuracy_m=frame.accuracy_m,
                    session=self.address,
                )
            case frames.HelloFrame():
                self._refuse(frames.BadFrame("hello is the first frame, and only that", frame.id))
            case _:
                self._count(frame)

    def _admit(self, frame: frames.Frame) -> Admission:
        """Whether the token is still valid for a command or a position."""
        tokens = self.services.tokens
        return self.state.admit(
            frame,
            self.services.clock.steady(),
            LEEWAY_S,
            is_revoked=tokens.is_revoked(self.principal),
            is_blind=tokens.is_blind(),
        )

    def _turn_away(self, frame: Any, admission: Admission) -> None:
        """Refuse a frame without a valid token."""
        if admission is Admission.REFUSED:
            self._refuse_blindly(frame)
        elif admission is not Admission.IGNORED:
            self.close(admission.value)

    def _refuse_blindly(self, frame: Any) -> None:
        """Refuse while revocation cannot be checked: the command has no effect."""
        self._error("unavailable", getattr(frame, "id", None), UNSEEN, temporary=True, not_processed=True)

    def _count(self, frame: frames.Command) -> None:
        """Count a command once for each order that it names, here and against the limit of its user."""
        times = command_cost(frame)
        if times > 1:
            self.ws.charge(times - 1)
        wait_s = self.services.commands.admit(self.principal.number, times)
        if wait_s:
            late = {"not_processed": True, "retry_after_ms": ceil(wait_s * 1000)}
            self._error("rate_limited", frame.id, "", temporary=True, **late)
            return
        if self.state.begin_command():
            self.ws.hold()
        self._ask(frame)

    def answered(self) -> None:
        """Note that a command is answered; a waiting frame is read next."""
        if self.state.end_command():
            self.ws.release()

    def _ask(self, frame: frames.Command) -> None:
        """Submit a command; every command is answered, whatever happens."""
        trace = self.services.entropy.trace()
        asked = PendingCommand(self, frame, trace)
        if (sampling := self.services.sampling) is not None:
            asked.span = sampling.begin(trace, None, None, frame.t)
        caller = Caller(self.principal.role, self.principal.number, asked.carried, frame.key)
        try:
            ask_actors(self.services.commands, asked, caller, frame)
        except Exception as error:  # noqa: BLE001 - one command must not end a socket
            asked.set_exception(error)

    def _refresh(self, frame: frames.AuthRefreshFrame) -> None:
        try:
            principal = self.services.tokens.verify(frame.token)
        except BadToken:
            self._error("unauthenticated", frame.id, "", temporary=False)
            return
        except Blind:
            self._refuse_blindly(frame)
            return
        if principal.number != self.principal.number or principal.role != self.principal.role:
            self._error("forbidden", frame.id, "the token is somebody else's", temporary=False)
            return
        self.principal = principal
        self.state.renew(principal.expires_at)
        self.push({"t": "reply", "id": frame.id, "ok": True, "trace_id": self.trace})
