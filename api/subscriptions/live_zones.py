"""Live zones: which zones the operators of this instance look at, and the ticks on their way to them.

A zone's actor is told of an address of this instance while somebody looks, and sends its ticks there, from wherever it
is. A tick is encoded once for all sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from typing import Any, Protocol

import orjson

from actors.clock import Clock, Randomness
from actors.shards import shard_of
from dispatch.zone_actor import zone_ref
from dispatch.zone_live import LEASE_MS

# A lease survives two lost messages.
RENEW_S = LEASE_MS / 3000
# The whole of a zone is asked for at most so often; who still needs it is asked again with the next tick.
WHOLE_GAP_S = 0.25

# Zone, address, and whether all of it is needed.
Watch = Callable[[int, str, bool], None]


def _nobody(zone: int, address: str, whole: bool = False) -> None:
    del zone, address, whole


class Viewer(Protocol):
    """A socket that follows a zone."""

    def take(self, tick: ZoneTick) -> None:
        """Take a tick of the zone that it follows."""
        ...


class ZoneTick:
    """A tick as it is sent.

    Attributes:
        run, number: its place in the sequence.
        whole: it does not build on others.
        text: its JSON.
    """

    __slots__ = ("number", "run", "text", "whole")

    def __init__(self, frame: dict[str, Any]) -> None:
        self.run: int = frame["run"]
        self.number: int = frame["n"]
        self.whole: bool = frame.get("whole", False)
        self.text = orjson.dumps(frame).decode()


class _Followed:
    """A zone that somebody looks at."""

    __slots__ = ("address", "asked_at", "viewers")

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked_at = float("-inf")
        self.viewers: set[Viewer] = set()


class LiveZones:
    """Table of the zones that are looked at here.

    Attributes:
        watch, unwatch: tell a zone's actor; set when there are actors.
    """

    def __init__(self, clock: Clock, entropy: Randomness, home: str) -> None:
        self.watch: Watch = _nobody
        self.unwatch: Callable[[int, str], None] = _nobody
        self._clock = clock
        self._entropy = entropy
        self._home = home
        self._zones: dict[int, _Followed] = {}
        self._numbers: dict[str, int] = {}

    def follow(self, viewer: Viewer, zone: int) -> None:
        """Show the zone to this socket: the whole first."""
        found = self._zones.get(zone)
        if found is None:
            found = self._zones[zone] = _Followed(f"live_{self._entropy.token()[:16]}@{self._home}")
            self._numbers[found.address] = zone
        found.viewers.add(viewer)
        self.want_whole(zone)

    def unfollow(self, viewer: Viewer, zone: int) -> None:
        """This socket looks no longer."""
        found = self._zones.get(zone)
        if found is None:
            return
        found.viewers.discard(viewer)
        if not found.viewers:
            del self._zones[zone], self._numbers[found.address]
            self.unwatch(zone, found.address)

    def want_whole(self, zone: int) -> None:
        """Ask for the whole of a zone, unless that was done a moment ago."""
        found = self._zones.get(zone)
        now = self._clock.monotonic()
        if found is not None and now - found.asked_at >= WHOLE_GAP_S:
            found.asked_at = now
            self.watch(zone, found.address, True)

    def emit(self, address: str, frame: Any) -> bool:
        """Hand a tick to the sockets that follow its zone; False for an address that is not of a zone."""
        zone = self._numbers.get(address)
        if zone is None:
            return False
        tick = ZoneTick(frame)
        for viewer in list(self._zones[zone].viewers):
            viewer.take(tick)
        return True

    def owner_changed(self, shards: Container[int]) -> None:
        """Tell the new owners of zones in these shards."""
        for zone, found in self._zones.items():
            if shard_of(zone_ref(zone)) in shards:
                self.watch(zone, found.address, True)

    async def run(self) -> None:
        """Renew the leases until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            for zone, found in self._zones.items():
                self.watch(zone, found.address, False)
