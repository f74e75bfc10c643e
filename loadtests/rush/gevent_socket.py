"""A driver's WebSocket under gevent: one connection, a reader, and commands with their replies."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gevent
import orjson
import websocket
from gevent.event import AsyncResult

from loadtests.kit.protocol import FEED_PATH, PROTOCOL

# The server asks after 35 s of silence at the latest; a socket that is silent for longer is dead.
CONNECT_S, SILENCE_S, ANSWER_S, FAREWELL_S = 10.0, 60.0, 10.0, 1.0


class SocketLost(Exception):
    """The connection is gone, or never came about."""


class GeventSocket:
    """One connection; a new one for every reconnect.

    Attributes:
        lost: why it is gone; None while it stands.
        cut: true when we have ended it.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.replace("http", "ws", 1) + FEED_PATH
        self.token = token
        self.lost: str | None = None
        self.cut = False
        self._socket: Any = None
        self._reader: Any = None
        self._waiting: dict[int, Any] = {}
        self._numbers = itertools.count(1)

    def connect(self, resume: dict[str, Any] | None) -> dict[str, Any]:
        """Upgrade and say hello; returns the welcome.

        Raises:
            LinkLost: the server would not, or not in time.
        """
        hello: dict[str, Any] = {"t": "hello", "device": "locust"}
        if resume is not None:
            hello["resume"] = resume
        try:
            self._socket = websocket.create_connection(
                self.url,
                timeout=CONNECT_S,
                header=[f"Authorization: Bearer {self.token}"],
                subprotocols=[PROTOCOL],
                suppress_origin=True,
                enable_multithread=True,
                # It checks byte by byte in Python, milliseconds for a full board; orjson checks anyway.
                skip_utf8_validation=True,
                http_no_proxy=["*"],
            )
            self._socket.send(orjson.dumps(hello).decode())
            frame = self._receive()
            self._socket.settimeout(SILENCE_S)
        except (websocket.WebSocketException, OSError, ValueError) as error:
            self._shut(f"{type(error).__name__}: {error}"[:80])
            raise SocketLost(self.lost) from None
        except SocketLost as error:
            self._shut(str(error))
            raise
        if frame["t"] != "welcome":
            self._shut(f"{frame['t']} instead of a welcome")
            raise SocketLost(self.lost)
        return frame

    def listen(self, on_frame: Callable[[dict[str, Any]], None]) -> None:
        """Read until the connection is lost; a reply goes to its `ask`, every other frame to `on_frame`."""
        self._reader = gevent.spawn(self._read, on_frame)

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame that is not answered.

        Raises:
            LinkLost: it cannot be sent.
        """
        if self.lost is not None or self.cut:
            raise SocketLost(self.lost)
        try:
            self._socket.send(orjson.dumps(frame).decode())
        except (websocket.WebSocketException, OSError) as error:
            raise SocketLost(type(error).__name__) from None

    def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its reply or error frame.

        Raises:
            LinkLost: the connection ended first, or no answer came in time.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = AsyncResult()
        try:
            self.send({**frame, "id": number})
            found: dict[str, Any] = answer.get(timeout=ANSWER_S)
            return found
        except gevent.Timeout:
            raise SocketLost(f"no answer in {ANSWER_S:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def tear(self) -> None:
        """End it without a word, as a tunnel does."""
        self.cut = True
        if self._socket is not None:
            self._socket.abort()

    def hang_up(self) -> None:
        """End it politely, and for good."""
        self.cut = True
        try:
            if self.lost is None and self._socket is not None:
                self._socket.send_close()
        except (websocket.WebSocketException, OSError):
            pass
        if self._reader is not None:
            self._reader.join(timeout=FAREWELL_S)
            self._reader.kill(timeout=FAREWELL_S)
        self._shut("hung up")

    def _receive(self) -> dict[str, Any]:
        opcode, data = self._socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise SocketLost(f"closed with {int.from_bytes(data[:2], 'big')}")
        frame: dict[str, Any] = orjson.loads(data)
        return frame

    def _read(self, on_frame: Callable[[dict[str, Any]], None]) -> None:
        try:
            while True:
                frame = self._receive()
                if self.cut:
                    self._shut("cut")
                    return
                waiting = self._waiting.get(frame.get("id") or 0) if frame["t"] != "pong" else None
                if waiting is None:
                    on_frame(frame)
                else:
                    waiting.set(frame)
        except SocketLost as error:
            self._shut(str(error))
        except (websocket.WebSocketException, OSError, ValueError) as error:
            self._shut(f"{type(error).__name__}: {error}"[:80])

    def _shut(self, why: str) -> None:
        """Note why, close the socket, and let nobody wait."""
        if self.lost is None:
            self.lost = why
        if self._socket is not None:
            self._socket.shutdown()
        for waiting in self._waiting.values():
            if not waiting.ready():
                waiting.set_exception(SocketLost(self.lost))
