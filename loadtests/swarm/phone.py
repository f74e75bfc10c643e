"""A driver's phone as the swarm has it: one socket, a position, and commands that wait for their answers.

Ten thousand of these live in one process, so a phone holds only what differs from phone to phone; what
they do is in their group.
"""

from __future__ import annotations

import asyncio
import socket
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from loadtests.kit.feed_position import REPEAT, FeedPosition
from loadtests.kit.fixtures import MintedUser
from loadtests.kit.protocol import FEED_PATH
from loadtests.kit.report import LoadReport
from loadtests.kit.wire import FeedWire

# From the first packet to the welcome; a phone that waits longer gives up.
OPEN_S = 30.0
ACK_EVERY = 16
PING, PONG = b'{"t":"ping"}', b'{"t":"pong"}'
STATE = b'{"t":"state"'


class SentCommand(NamedTuple):
    """A command on its way: its name, and when it was sent."""

    name: str
    began: float


class PhoneGroup:
    """What phones have in common: the report, and what they do when something arrives.

    Attributes:
        over: the run has ended; connections that end now are no fault, and no command is begun.
        connect: under what name a connect is reported, from its start to the welcome.
        up: how many phones are welcome at the moment.
    """

    def __init__(self, report: LoadReport, url: str, tag: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.report = report
        self.tag = tag
        self.connect = "connect"
        self.over = False
        self.up = 0

    def welcomed(self, phone: SwarmPhone, frame: dict[str, Any], now: float) -> None:
        """A phone has its welcome."""
        del frame
        self.report.done(self.connect, now - phone.began)

    def event(self, phone: SwarmPhone, frame: dict[str, Any]) -> None:
        """An entry of a driver's log, after its position was checked."""

    def revoked(self, phone: SwarmPhone, frame: dict[str, Any]) -> None:
        """An offer can win nothing any more."""

    def answered(self, frame: dict[str, Any], asked: SentCommand, now: float) -> None:
        """A command got its answer, `error` included."""
        if frame["t"] == "error" or frame.get("ok") is False:
            self.report.failed(asked.name, str(frame.get("code") or frame.get("result")))
        else:
            self.report.done(asked.name, now - asked.began)

    def unasked(self, frame: dict[str, Any]) -> None:
        """An answer to a command that this phone has not sent."""
        self.report.failed("answer", f"{frame['t']} {frame.get('code', '')} to nothing")

    def ended(self, code: int) -> None:
        """A connection has ended that was not cut here."""
        if not self.over:
            self.report.failed("line", f"closed with {code}")


class SwarmPhone:
    """One driver's socket; it can be cut and opened again, and resumes."""

    __slots__ = (
        "asked", "began", "cseq", "group", "offer", "opening", "order", "person", "position", "sent", "up",
        "wire", "zone",
    )  # fmt: skip

    def __init__(self, group: PhoneGroup, person: MintedUser, zone: int) -> None:
        self.group = group
        self.person = person
        self.zone = zone
        self.position = FeedPosition()
        self.began = 0.0
        self.sent = 0
        self.cseq = 0
        self.up = False
        self.offer = ""
        self.order = ""
        self.asked: dict[int, SentCommand] = {}
        self.wire: FeedWire | None = None
        self.opening: asyncio.Future[str] | None = None

    async def open(self, sock: socket.socket | None = None, source: tuple[str, int] | None = None) -> bool:
        """Connect and wait for the welcome; True when it came. What went wrong is in the report."""
        loop = asyncio.get_running_loop()
        self.opening = loop.create_future()
        wire = self.dial()
        fault = "no welcome in time"
        try:
            async with asyncio.timeout(OPEN_S):
                if sock is not None:
                    await loop.create_connection(lambda: wire, sock=sock)
                else:
                    await loop.create_connection(
                        lambda: wire, self.group.host, self.group.port, local_addr=source
                    )
                wire.upgrade(FEED_PATH, self.person.token)
                fault = await self.opening
        except TimeoutError:
            self.cut()
        except OSError as error:
            fault = type(error).__name__
        finally:
            self.opening = None
        if fault:
            self.group.report.failed(self.group.connect, fault)
        return not fault

    def dial(self) -> FeedWire:
        """The wire for a new connection; the time that counts begins."""
        self.wire = wire = FeedWire(self._text, self._end, self._hello)
        self.began = perf_counter()
        return wire

    def _hello(self) -> None:
        resume = self.position.resume()
        hello = {"t": "hello"} if resume is None else {"t": "hello", "resume": resume}
        self.send(orjson.dumps(hello))

    def send(self, text: bytes) -> None:
        """Send a frame that is not answered."""
        if self.wire is not None:
            self.wire.send(text)

    def ask(self, name: str, **body: Any) -> None:
        """Send a command; the group gets its answer."""
        self.sent += 1
        key = f"{self.group.tag}-{self.person.number}-{self.sent}"
        self.asked[self.sent] = SentCommand(name, perf_counter())
        self.send(orjson.dumps({"t": name, "id": self.sent, "key": key, **body}))

    def ping(self) -> None:
        """A ping that is answered."""
        self.sent += 1
        self.asked[self.sent] = SentCommand("ping", perf_counter())
        self.send(b'{"t":"ping","id":%d}' % self.sent)

    def locate(self, lat: float, lon: float) -> None:
        """Say where the driver is."""
        self.cseq += 1
        self.send(b'{"t":"loc","cseq":%d,"lat":%.6f,"lon":%.6f}' % (self.cseq, lat, lon))

    def cut(self) -> None:
        """Drop the connection without a close frame, as a phone in a lift does."""
        self.asked.clear()
        wire, self.wire = self.wire, None
        if wire is not None:
            # It ends a moment later; this phone may be on another connection by then.
            wire.on_text, wire.on_end = _unheard, _unheard
            wire.close()
        self._down()

    # -- what arrives -------------------------------------------------------------------------

    def _text(self, text: bytes) -> None:
        now = perf_counter()
        if text == PING:
            self.send(PONG)
        elif not text.startswith(STATE):  # a topic's frames are many, and not read here
            self._frame(orjson.loads(text), now)

    def _frame(self, frame: dict[str, Any], now: float) -> None:
        match frame["t"]:
            case "event":
                self._entry(frame)
            case "reply" | "error" | "pong":
                asked = self.asked.pop(frame.get("id") or 0, None)
                if asked is None:
                    self.group.unasked(frame)
                else:
                    self.group.answered(frame, asked, now)
            case "offer.revoked":
                self.group.revoked(self, frame)
            case "welcome":
                fault = self.position.welcome(frame)
                if fault:
                    self.group.report.failed("position", fault)
                self.up, self.group.up = True, self.group.up + 1
                self.group.welcomed(self, frame, now)
                self._opened("")
            case _:  # what the protocol has besides is of no interest here
                pass

    def _entry(self, frame: dict[str, Any]) -> None:
        fault = self.position.entry(frame["seq"])
        if fault:
            self.group.report.failed("position", fault)
        if fault != REPEAT:
            self.group.event(self, frame)
        if frame["seq"] % ACK_EVERY == 0:
            self.send(b'{"t":"ack","seq":%d}' % frame["seq"])

    def _opened(self, fault: str) -> None:
        if self.opening is not None and not self.opening.done():
            self.opening.set_result(fault)

    def _end(self, code: int) -> None:
        if self.opening is not None and not self.opening.done():
            self._opened(f"closed with {code}")
            return
        self._down()
        self.group.ended(code)

    def _down(self) -> None:
        if self.up:
            self.up, self.group.up = False, self.group.up - 1


def _unheard(said: object) -> None:
    """Whatever comes from a connection that was dropped."""
