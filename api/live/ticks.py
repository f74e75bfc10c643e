"""Ticks of one socket: at most one is under way, and at most one waits. Rules without I/O.

A tick builds on the one before. One that cannot go out as the next is dropped, and the whole takes its place: so every
page gets the rate that it can draw, and a slow one costs no memory.
"""

from __future__ import annotations

from api.subscriptions.live_zones import ZoneTick


class TickLane:
    """What goes to one socket.

    Attributes:
        needs_whole: only the whole helps; asked for while nothing is under way.
    """

    def __init__(self) -> None:
        self.needs_whole = True
        self._waiting: ZoneTick | None = None
        self._under_way: int | None = None
        # Place of the last tick that was taken.
        self._run = self._number = -1

    def restart(self) -> None:
        """Another zone, or a gap that the page has found: forget what was before."""
        self.needs_whole = True
        self._waiting = self._under_way = None
        self._run = self._number = -1

    def take(self, tick: ZoneTick) -> None:
        """Take a tick, or drop it."""
        if tick.whole:
            if not self.needs_whole:
                return
            self.needs_whole = False
        elif self.needs_whole:
            return
        elif self._waiting is not None or (tick.run, tick.number) != (self._run, self._number + 1):
            self._waiting, self.needs_whole = None, True
            return
        self._waiting = tick
        self._run, self._number = tick.run, tick.number

    def next(self) -> ZoneTick | None:
        """The tick to be sent now, if there is one and nothing is under way."""
        if self._under_way is not None or self._waiting is None:
            return None
        tick, self._waiting = self._waiting, None
        self._under_way = tick.number
        return tick

    def drawn(self, number: int) -> None:
        """The page has drawn a tick."""
        if number == self._under_way:
            self._under_way = None

    @property
    def is_idle(self) -> bool:
        """True when nothing is under way."""
        return self._under_way is None
