"""When each socket is looked at next: to the second, at the price of one dictionary a second."""

from __future__ import annotations

from math import ceil

from api.subscriptions.subscriber import Subscriber

# Seconds ahead that can be told apart; nobody is left alone for longer.
SLOTS = 32


class TimerWheel:
    """Sockets by the second in which they are due."""

    def __init__(self) -> None:
        self._slots: list[dict[str, Subscriber]] = [{} for _ in range(SLOTS)]
        self._at = 0

    def put(self, session: Subscriber, in_s: float) -> None:
        """Have a socket looked at in so many seconds: at least one, and not before."""
        session.slot = (self._at + min(SLOTS - 1, max(1, ceil(in_s)))) % SLOTS
        self._slots[session.slot][session.address] = session

    def drop(self, session: Subscriber) -> None:
        """A socket that has ended."""
        self._slots[session.slot].pop(session.address, None)

    def turn(self) -> list[Subscriber]:
        """A second has passed: the sockets that are due; each is to be put back."""
        self._at = (self._at + 1) % SLOTS
        due, self._slots[self._at] = self._slots[self._at], {}
        return list(due.values())
