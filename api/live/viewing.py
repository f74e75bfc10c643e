"""One operator's socket, from its opening to its end."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

import orjson
import structlog
from aiohttp import WSMessage, WSMsgType

from actors.cancellation import end
from api.auth.access_tokens import BadToken, Blind, Principal
from api.feed.feed_socket import FeedSocket
from api.feed.frames import BadFrame
from api.http.services import Services
from api.live.ticks import TickLane
from api.live.wishes import DrawnWish, StillHereWish, TokenWish, WatchWish, WholeWish, Wish, decode_wish
from api.subscriptions import close_codes
from api.subscriptions.live_zones import ZoneTick

log = structlog.get_logger()

# A page acknowledges each tick, or says that it is there.
SILENT_S = 60.0
LOOK_S = 2.0
# A page that takes nothing for so long is gone.
SEND_S = 15.0
# Answers that wait; a page that asks for more without reading is cut off.
SAID_MAX = 32
AHEAD_S = 60.0


class Viewing:
    """Socket of an operator. It is the listener of its frames, and a viewer of the hub's live zones."""

    def __init__(self, ws: FeedSocket, services: Services, principal: Principal, trace: str) -> None:
        self._ws = ws
        self._services = services
        self._principal = principal
        self._trace = trace
        self._zone: int | None = None
        self._lane = TickLane()
        self._said: deque[dict[str, Any]] = deque()
        self._wake = asyncio.Event()
        self._closing: int | None = None
        self._heard_at = services.clock.monotonic()
        self._told_of_end = False

    async def run(self) -> None:
        """Serve until the socket ends."""
        services = self._services
        self._say({"t": "welcome", "server_time_ms": int(services.clock.wall() * 1000)})
        self._ws.listen(self)
        try:
            async with asyncio.TaskGroup() as tasks:
                work = [
                    tasks.create_task(self._write(), name="ticks"),
                    tasks.create_task(self._look(), name="operator's socket"),
                ]
                try:
                    async for message in self._ws:
                        self._other(message)
                finally:
                    await end(work)
        finally:
            self._ws.listen(None)
            self._follow(None)

    def _other(self, message: WSMessage) -> None:
        """Handle what does not go to `heard` by itself: on stock aiohttp every frame, else only what is no text."""
        if message.type is WSMsgType.TEXT:
            self.heard(message.data)
        elif message.type is WSMsgType.ERROR and isinstance(message.data, int):
            self._close(message.data)
        else:
            self._close(close_codes.BAD_FRAME)

    # -- what comes -----------------------------------------------------------------------------------------

    def heard(self, text: str | None) -> None:
        """Handle one frame. The connection calls it, and cannot handle an error."""
        self._heard_at = self._services.clock.monotonic()
        if text is None:
            return
        try:
            self._obey(decode_wish(text))
        except BadFrame as bad:
            self._say({"t": "error", "code": "bad_frame", "detail": bad.detail, "trace_id": self._trace})
        except Exception as error:
            log.error("failed_session", trace_id=self._trace, exc_info=error)
            self._close(close_codes.INTERNAL)

    def flooded(self) -> None:
        """Close: far more frames than any page sends."""
        self._close(close_codes.RATE_LIMITED)

    def _obey(self, wish: Wish) -> None:
        match wish:
            case WatchWish(zone_id=zone):
                self._follow(zone)
            case DrawnWish(n=number):
                self._lane.drawn(number)
                self._wake.set()
                self._ask_whole()
            case WholeWish():
                self._lane.restart()
                self._ask_whole()
            case StillHereWish():
                self._say({"t": "pong"})
            case TokenWish(token=token):
                self._renew(token)

    def _follow(self, zone: int | None) -> None:
        live = self._services.hub.live
        if self._zone is not None:
            live.unfollow(self, self._zone)
        self._zone = zone
        self._lane.restart()
        if zone is not None:
            live.follow(self, zone)

    def _ask_whole(self) -> None:
        if self._zone is not None and self._lane.needs_whole and self._lane.is_idle:
            self._services.hub.live.want_whole(self._zone)

    def _renew(self, token: str) -> None:
        try:
            principal = self._services.tokens.verify(token)
        except (BadToken, Blind):
            self._say({"t": "error", "code": "unauthenticated", "detail": "", "trace_id": self._trace})
            return
        if (principal.number, principal.role) != (self._principal.number, self._principal.role):
            self._close(close_codes.FORBIDDEN)
            return
        self._principal, self._told_of_end = principal, False

    # -- what goes ------------------------------------------------------------------------------------------

    def take(self, tick: ZoneTick) -> None:
        """Take a tick of the zone that is followed."""
        self._lane.take(tick)
        self._ask_whole()
        self._wake.set()

    def _say(self, frame: dict[str, Any]) -> None:
        if len(self._said) >= SAID_MAX:
            self._close(close_codes.SLOW_CONSUMER)
            return
        self._said.append(frame)
        self._wake.set()

    def _close(self, code: int) -> None:
        self._closing = self._closing or code
        self._wake.set()

    async def _write(self) -> None:
        """Send what is due until the socket is to be closed, or the page takes nothing more."""
        try:
            while self._closing is None:
                await self._wake.wait()
                self._wake.clear()
                async with asyncio.timeout(SEND_S):
                    await self._send_due()
            async with asyncio.timeout(SEND_S):
                reason = close_codes.REASONS[self._closing].encode()
                await self._ws.close(code=self._closing, message=reason)
        except (TimeoutError, ConnectionError, RuntimeError):
            self._abort()

    async def _send_due(self) -> None:
        while self._said and self._closing is None:
            await self._ws.send_str(orjson.dumps(self._said.popleft()).decode())
        tick = self._lane.next()
        if tick is not None and self._closing is None:
            await self._ws.send_str(tick.text)

    def _abort(self) -> None:
        request = self._ws.request
        if request is not None and request.transport is not None:
            request.transport.abort()

    async def _look(self) -> None:
        """Look again and again whether the page is there, and its user may still look."""
        services = self._services
        while self._closing is None:
            await asyncio.sleep(LOOK_S)
            if services.hub.draining:
                self._close(close_codes.DRAINING)
            elif services.tokens.is_revoked(self._principal):
                self._close(close_codes.UNAUTHENTICATED)
            elif services.tokens.is_over(self._principal):
                self._close(close_codes.TOKEN_EXPIRED)
            elif services.clock.monotonic() - self._heard_at > SILENT_S:
                self._close(close_codes.NO_PONG)
            elif not self._told_of_end and self._principal.expires_at - services.clock.steady() < AHEAD_S:
                self._told_of_end = True
                self._say({"t": "auth.expiring"})


async def serve_viewing(ws: FeedSocket, services: Services, principal: Principal, trace: str) -> None:
    """Serve an operator's socket until it ends."""
    with suppress(ConnectionError):
        await Viewing(ws, services, principal, trace).run()
