"""Timer wheel: the second in which each socket is due, at the cost of one dictionary a second."""

from __future__ import annotations

from math import ceil

from api.subscriptions.subscriber import Subscriber

# Range of the wheel in seconds; a later due time is cut to it.
SLOTS = 32


class TimerWheel:
    """Sockets by the second in which they are due."""

    def __init__(self) -> None:
        self._slots: list[dict[str, Subscriber]] = [{} for _ in range(SLOTS)]
        self._at = 0

    def put(self, session: Subscriber, in_s: float) -> None:
        """Make a socket due in this many seconds, at least one."""
        session.slot = (self._at + min(SLOTS - 1, max(1, ceil(in_s)))) % SLOTS
        self._slots[session.slot][session.address] = session

    def drop(self, session: Subscriber) -> None:
        """Remove a socket that has ended."""
        self._slots[session.slot].pop(session.address, None)

    def turn(self) -> list[Subscriber]:
        """Advance by a second; returns the due sockets, each of which must be put back."""
        self._at = (self._at + 1) % SLOTS
        due, self._slots[self._at] = self._slots[self._at], {}
        return list(due.values())
