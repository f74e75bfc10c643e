"""A feed that a test plays itself, in place of the server's: it says what real servers say rarely."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page, WebSocketRoute

from tests.support.waiting import Arrivals

EPOCH = "3f2a"
NOW_MS = 1_790_000_000_000
PLACE = {"lat": 1.0, "lon": 2.0}
LIMIT_S = 20.0


def order(number: int, status: str = "assigned") -> dict[str, Any]:
    """An order as its carrier sees it."""
    store = {"id": "sto_1", "name": "Store", **PLACE}
    pickup = {"store": store, "number": number, "ready_at_ms": 0, "items": [{"name": "Thing", "quantity": 1}]}
    return {
        "order_id": f"ord_{number}", "number": number, "status": status, "version": 1, "store": store,
        "pickups": [pickup], "dropoff": {**PLACE, "radius_m": 0, "address": f"Door {number}"},
        "distance_m": 1200, "ready_at_ms": 0, "items": 1, "payment": "cash", "collect": None, "pay": None,
        "notes": None, "contact": None,
    }  # fmt: skip


def entry(seq: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """An entry of the log."""
    return {"t": "event", "seq": seq, "type": kind, "at_ms": NOW_MS, "trace": "0" * 32, "data": data}


class ScriptedFeed:
    """The server's end of an app's sockets.

    Attributes:
        hellos: the first frame of each socket.
        heard: all other frames of the app.
    """

    def __init__(self) -> None:
        self.hellos: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self._came = Arrivals()
        self._socket: WebSocketRoute | None = None

    async def stand_between(self, page: Page) -> None:
        """Take over the sockets that this page will open."""
        await page.route_web_socket("**/api/v2/drivers/feed", self._opened)

    def _opened(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(self._take)

    def _take(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if frame["t"] == "hello":
            self.hellos.append(frame)
            self._welcome(frame)
        else:
            self.heard.append(frame)
        self._came.tell()

    def _welcome(self, hello: dict[str, Any]) -> None:
        resume = hello.get("resume")
        found: dict[str, Any] = {
            "t": "welcome", "session": "fed_1", "epoch": EPOCH, "seq": resume["seq"] if resume else 0,
            "resumed": resume is not None, "zone_id": "zon_1", "ping_s": 25, "server_time_ms": NOW_MS,
            "limits": {"frame_bytes": 16384, "frames_per_s": 50},
        }  # fmt: skip
        if resume is None:
            found["snapshot"] = {"status": "online", "capacity": 2, "orders": [], "offers": []}
        self.say(found)

    def say(self, *frames: dict[str, Any]) -> None:
        """Send frames on the newest socket."""
        assert self._socket is not None
        for frame in frames:
            self._socket.send(json.dumps(frame))

    async def close(self, code: int) -> None:
        """Close the newest socket."""
        assert self._socket is not None
        await self._socket.close(code=code)

    async def hello(self, number: int) -> dict[str, Any]:
        """The hello of a socket, the first has number 1."""
        await self._came.until(lambda: len(self.hellos) >= number, LIMIT_S)
        return self.hellos[number - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Frames of a type that the app has sent."""
        return [frame for frame in self.heard if frame["t"] == kind]

    async def frames(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Frames of a type, as soon as there are so many."""
        await self._came.until(lambda: len(self.of(kind)) >= count, LIMIT_S)
        return self.of(kind)

    async def ack_of(self, seq: int) -> None:
        """Return when the app has confirmed an entry."""
        await self._came.until(lambda: any(frame["seq"] == seq for frame in self.of("ack")), LIMIT_S)
