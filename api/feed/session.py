"""One socket: frames in, commands to the dispatch office, answers out."""

from __future__ import annotations

import asyncio
import contextlib
from math import ceil
from typing import Any

import structlog
from aiohttp import WSMsgType

from actors.shards import shard_of
from api.auth.access_tokens import BadToken, Blind, Principal
from api.feed import close_codes, frames
from api.feed.feed_socket import CONGESTED_BYTES, FeedSocket
from api.feed.frame_limits import FRAMES_PER_S
from api.feed.pending_command import PendingCommand, ask_actors
from api.feed.send_queue import Overflow, SendQueue
from api.http.pipeline import UNSEEN
from api.http.request import Services
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

# Ping after this much silence; without any frame for this long the line is dead.
PING_S = 25.0
SILENT_S = 37.5
# The token's end is announced this long before.
EXPIRY_NOTICE_S = 60.0
# Commands of one socket at once; what comes after them waits. A phone that was offline sends many.
COMMANDS_MAX = 16
# Frames beyond understanding, until the socket is closed.
STRIKES_MAX = 50
# Frames that leave in one write.
PACKET_BYTES = 64 * 1024
# A client that does not read what is queued before its close is cut off after this long.
FAREWELL_S = 2.0


class Session:
    """A driver's socket from its welcome on."""

    __slots__ = (
        "_send_queue",
        "_strikes",
        "_writing",
        "acked",
        "address",
        "closing",
        "commands",
        "epoch",
        "heard_at",
        "hub",
        "number",
        "opened_at",
        "opened_ms",
        "position",
        "principal",
        "services",
        "shard",
        "slot",
        "topic",
        "trace",
        "unreachable",
        "warned",
        "welcomed",
        "ws",
    )  # fmt: skip

    def __init__(self, ws: FeedSocket, services: Services, principal: Principal, trace: str) -> None:
        self.ws = ws
        self.services = services
        self.hub = services.hub
        self.principal = principal
        self.trace = trace
        self.address = f"fed_{services.entropy.token()[:16]}@{services.hub.home}"
        self.shard = shard_of(driver_ref(principal.number))
        self.epoch: str | None = None
        # Where it is in the feed; until the welcome, where the client says that it was.
        self.position: int | None = None
        self.welcomed = False
        self.opened_ms = int(services.clock.wall() * 1000)
        # What orders the sessions of a driver; its actor gives it.
        self.number: tuple[int, int] | None = None
        self.slot = 0
        self.topic: str | None = None
        self.acked = 0
        self.closing = 0
        self.unreachable = False
        self.warned = False
        self.heard_at = self.opened_at = services.clock.monotonic()
        self._send_queue = SendQueue()
        self._writing = False
        self.commands = 0
        self._strikes = 0

    # -- out ----------------------------------------------------------------------------------

    def push(self, frame: dict[str, Any]) -> None:
        """Queue a frame that must arrive; a client too slow for it is closed and resumes."""
        if self.closing:
            return
        if (allowance := feed_frames.verdict(self.position if self.welcomed else None, frame)) != "send":
            self._mend(allowance)
            return
        if frame["t"] == "welcome":
            frame = self._complete(frame)
        elif frame["t"] == "event":
            self.position = frame["seq"]
            metrics.FEED_LATE_SECONDS.observe(max(0.0, self.services.clock.wall() - frame["at_ms"] / 1000))
        try:
            self._send_queue.put(frame)
        except Overflow:
            self.close(close_codes.SLOW_CONSUMER)
            return
        _RELIABLE.inc()
        self._write()

    def _mend(self, allowance: str) -> None:
        """The actor has moved, or a line to it was cut: see feed.verdict."""
        if allowance == "gap":
            self.hub.bind_again(self)
        elif allowance == "end":
            self.close(close_codes.POSITION_LOST)

    def push_latest(self, topic: str, frame: dict[str, Any] | bytes) -> None:
        """Send the newest of a topic; older ones that were not sent yet are replaced."""
        if self.closing:
            return
        if topic == "availability" and isinstance(frame, dict):
            self.unreachable = frame["data"]["state"] == UNREACHABLE
        if topic == "zone" and isinstance(frame, dict):
            number = ids.parse_id(ids.ZONE, frame["data"]["zone_id"])
            self.hub.subscribe(self, feed_frames.board_topic(number or 0))
        self._send_queue.put_latest(topic, frame)
        _LATEST.inc()
        self._write()

    def _complete(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The welcome with what the edge knows; from now on the session follows its zone's board."""
        number = ids.parse_id(ids.ZONE, frame["zone_id"])
        self.hub.subscribe(self, feed_frames.board_topic(number or 0))
        metrics.FEED_RESUMES.labels("resumed" if frame["resumed"] else "snapshot").inc()
        self.epoch, self.position, self.welcomed = frame["epoch"], frame["seq"], True
        return frame | {
            "session": self.address.partition("@")[0],
            "ping_s": int(PING_S),
            "server_time_ms": int(self.services.clock.wall() * 1000),
            "limits": {"frame_bytes": frames.FRAME_BYTES_MAX, "frames_per_s": int(FRAMES_PER_S)},
        }

    @property
    def driver_id(self) -> str:
        """As the logs show it."""
        return f"drv_{self.principal.number}"

    def _write(self) -> None:
        """Have what waits written at the end of this turn of the loop: an entry and the reply that belongs to
        it leave together, for a packet costs more than a frame does.
        """
        if not self._writing:
            self._writing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write at once what a line that is not congested takes; a task waits for the others."""
        request = self.ws.request
        transport = None if request is None else request.transport
        if self.closing or transport is None or transport.get_write_buffer_size() > CONGESTED_BYTES:
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
        """Write until nothing waits, then, if that was decided, close."""
        try:
            request = self.ws.request
            while self.closing != close_codes.SLOW_CONSUMER and (
                packet := self._send_queue.take(PACKET_BYTES)
            ):
                if request is None or request.transport is None:
                    raise ConnectionResetError
                request.transport.write(packet)
                await request.writer.drain()
            if self.closing:
                reason = close_codes.REASONS[self.closing].encode()
                async with asyncio.timeout(FAREWELL_S):
                    await self.ws.close(code=self.closing, message=reason)
        except Exception as error:
            # Gone, or too slow even for a farewell: the transport goes, the log stays.
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
        """Close with a code, after what is queued; a writer that is stuck is cut off, the log has the rest."""
        if self.closing:
            return
        self.closing = code
        metrics.FEED_CLOSES.labels(code).inc()
        if self._writing and code in (close_codes.SLOW_CONSUMER, close_codes.NO_PONG):
            self._abort()
        else:
            self._write()
            asyncio.get_running_loop().call_later(FAREWELL_S, self._abort)

    async def end(self, code: int) -> None:
        """The same for the socket's own handler: waits until the client was told, for the socket ends when
        the handler does.
        """
        if not self.closing:
            self.closing = code
            metrics.FEED_CLOSES.labels(code).inc()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                while self._writing:  # noqa: ASYNC110 - a moment, once in a socket's life
                    await asyncio.sleep(0.005)
        if not self.ws.closed:
            self._writing = True
            await self._drain()

    def beat(self, now: float) -> float:
        """A look at the socket; in how many seconds the next one is due."""
        if self.closing:
            return PING_S
        expires_in = self.principal.expires_at - self.services.clock.steady()
        silent = now - max(self.heard_at, self.hub.awake_at)
        if expires_in <= 0 or self.services.tokens.is_revoked(self.principal):
            self._over()
        elif silent >= SILENT_S:
            self.close(close_codes.NO_PONG)
        elif silent >= PING_S:
            self.push_latest("ping", {"t": "ping"})
        if self.hub.is_far(self.shard):
            self.hub.bind_again(self)  # should a frame have been lost without a trace
        if expires_in <= EXPIRY_NOTICE_S and not self.warned:
            self.warned = True
            self.push_latest("auth", {"t": "auth.expiring", "in_s": max(0, int(expires_in))})
        speaks_by = SILENT_S if silent >= PING_S else PING_S
        return min(speaks_by - silent, expires_in if self.warned else expires_in - EXPIRY_NOTICE_S)

    def _over(self) -> None:
        """Close because of the token: for good when the session was ended, else to come back with another."""
        revoked = self.services.tokens.is_revoked(self.principal)
        self.close(close_codes.UNAUTHENTICATED if revoked else close_codes.TOKEN_EXPIRED)

    # -- in -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read frames until the socket ends. Texts are heard as they are read; what is no text comes through here."""
        self.ws.listen(self)
        try:
            async for message in self.ws:
                if message.type is WSMsgType.TEXT:
                    self.heard(message.data)
                elif message.type is WSMsgType.BINARY and not self.closing:
                    self.heard_at = self.services.clock.monotonic()
                    self._refuse(None, "frames are text")
                elif message.type is WSMsgType.ERROR and isinstance(message.data, int):
                    self.close(message.data)
        finally:
            self.ws.listen(None)  # a circle, which would keep the session until everything is collected

    def heard(self, text: str | None) -> None:
        """Hear one frame. It is called by the connection, which has nobody to tell of an error."""
        try:
            self._hear(text)
        except Exception as error:
            log.error("failed_session", trace_id=self.trace, exc_info=error)
            self.close(close_codes.INTERNAL)

    def flooded(self) -> None:
        """The client sends and sends, far more than it may."""
        self.close(close_codes.RATE_LIMITED)

    def _hear(self, text: str | None) -> None:
        if self.closing:
            return  # what it says now is not heard; the farewell is being written
        self.heard_at = self.services.clock.monotonic()
        if text is None:
            return
        try:
            frame = frames.decode_frame(text.encode())
        except frames.BadFrame as error:
            self._refuse(error.frame_id, error.detail, strike=not error.is_reading)
        except UnicodeEncodeError:
            self._refuse(None, "not UTF-8")
        else:
            self._take(frame)

    def _refuse(self, frame_id: Any, detail: str, *, strike: bool = True) -> None:
        """A frame that cannot be understood: answer with an error; too many strikes end the session."""
        self._strikes += strike
        if self._strikes > STRIKES_MAX:
            self.close(close_codes.BAD_FRAME)
            return
        self._error("bad_frame", frame_id, detail, temporary=False)

    def _error(self, code: str, frame_id: Any, detail: str, *, temporary: bool, **extra: Any) -> None:
        frame = {"t": "error", "id": frame_id, "code": code, "temporary": temporary, "trace_id": self.trace}
        self.push(frame | ({"detail": detail} if detail else {}) | extra)

    def _take(self, frame: frames.Frame) -> None:
        if self.unreachable and not isinstance(frame, frames.Pong):
            # A pong is the answer of a machine; whatever else comes is a sign of life.
            self.unreachable = False
            self.services.dispatch.alive(self.principal.number)
        match frame:
            case frames.Ping():
                self.push({"t": "pong", "id": frame.id})
            case frames.Pong():
                pass
            case frames.Seen():
                self.services.dispatch.offer_seen(self.principal.number, frame.offer_id)
            case frames.Ack():
                self.acked = max(self.acked, frame.seq)
            case frames.AuthRefresh():
                self._refresh(frame)
            case _ if self.services.tokens.is_over(self.principal):
                self._over()
            case _ if self.services.tokens.is_blind():
                self._unseen(frame)
            case frames.Location():
                place = Place(frame.lat, frame.lon)
                self.services.dispatch.locate(
                    self.principal.number, place, frame.cseq, self.trace, accuracy_m=frame.accuracy_m,
                    session=self.address,
                )  # fmt: skip
            case frames.Hello():
                self._refuse(frame.id, "hello is the first frame, and only that")
            case _:
                self._count(frame)

    def _count(self, frame: Any) -> None:
        """A command counts as many times as it names orders, here and against the limit of its user."""
        times = len(frame.orders) if isinstance(frame, frames.Accept | frames.Decline) else 1
        if times > 1:
            self.ws.charge(times - 1)
        wait_s = self.services.admission.count_commands(self.principal.number, times)
        if wait_s:
            late = {"not_processed": True, "retry_after_ms": ceil(wait_s * 1000)}
            self._error("rate_limited", frame.id, "", temporary=True, **late)
            return
        self.commands += 1
        if self.commands >= COMMANDS_MAX:
            self.ws.hold()
        self._ask(frame)

    def answered(self) -> None:
        """A command is answered: what has waited for it comes next."""
        if self.commands == COMMANDS_MAX:
            self.ws.release()
        self.commands -= 1

    def _unseen(self, frame: Any) -> None:
        """Nobody knows whether the session was ended: nothing is done, and a position is not believed."""
        if not isinstance(frame, frames.Location):
            self._error("unavailable", getattr(frame, "id", None), UNSEEN, temporary=True, not_processed=True)

    def _ask(self, frame: Any) -> None:
        """Have a command decided; whatever becomes of it, it is answered."""
        trace = self.services.entropy.trace()
        asked = PendingCommand(self, frame, trace)
        caller = Caller(self.principal.role, self.principal.number, trace, frame.key)
        try:
            ask_actors(self.services.dispatch, asked, caller, frame)
        except Exception as error:  # noqa: BLE001 - one command must not end a socket
            asked.set_exception(error)

    def _refresh(self, frame: frames.AuthRefresh) -> None:
        try:
            principal = self.services.tokens.verify(frame.token)
        except BadToken:
            self._error("unauthenticated", frame.id, "", temporary=False)
            return
        except Blind:
            self._unseen(frame)
            return
        if principal.number != self.principal.number or principal.role != self.principal.role:
            self._error("forbidden", frame.id, "the token is somebody else's", temporary=False)
            return
        self.principal, self.warned = principal, False
        self.push({"t": "reply", "id": frame.id, "ok": True, "trace_id": self.trace})
