"""Sockets that have not said who they are: how many there may be, and which goes first.

Nobody can be kept out by them: where an address has its share, its own oldest goes; where all places are taken, the
oldest of the address that has the most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# More is an attack, not a rush: whoever has a ticket shows it within one round trip.
STRANGERS_MAX = 500
# Of one address. A mall's wireless network has many phones behind one.
STRANGERS_EACH_MAX = 100


class AnonymousSockets:
    """The silent sockets of an instance, by address, in the order in which they came.

    Args:
        most: how many there may be.
        most_each: how many of one address.
    """

    def __init__(self, most: int = STRANGERS_MAX, most_each: int = STRANGERS_EACH_MAX) -> None:
        self._most = most
        self._most_each = most_each
        self._silent: dict[str, dict[object, Callable[[], None]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def staying(self, address: str, dismiss: Callable[[], None]) -> Iterator[None]:
        """A socket is silent until the block ends; `dismiss` is called when it has to go before."""
        place = object()
        if len(self._silent.get(address, ())) >= self._most_each:
            self._send_away(address)
        elif self._count >= self._most:
            self._send_away(max(self._silent, key=lambda each: len(self._silent[each])))
        self._silent.setdefault(address, {})[place] = dismiss
        self._count += 1
        try:
            yield
        finally:
            self._forget(address, place)

    def _send_away(self, address: str) -> None:
        place, dismiss = next(iter(self._silent[address].items()))
        self._forget(address, place)
        dismiss()

    def _forget(self, address: str, place: object) -> None:
        """Give a place back; once, for who was sent away ends later."""
        silent = self._silent.get(address)
        if silent is None or silent.pop(place, None) is None:
            return
        self._count -= 1
        if not silent:
            del self._silent[address]
