"""Sockets that are not authenticated yet: their limits, and the choice of the one that is closed.

They cannot keep a driver out: an address at its limit loses its own oldest socket, and an instance at its limit loses
the oldest socket of the address that has the most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# More is an attack, not a rush: a client with a ticket shows it within one round trip.
STRANGERS_MAX = 500
# Of one address. A mall's wireless network has many phones behind one.
STRANGERS_EACH_MAX = 100


class AnonymousSockets:
    """The unauthenticated sockets of an instance, by address, oldest first.

    Args:
        most: limit of the instance.
        most_each: limit of one address.
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
        """Hold a place for a socket until the block ends; `dismiss` is called when it has to close before."""
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
        """Give a place back, if it is still held: a dismissed socket ends later."""
        silent = self._silent.get(address)
        if silent is None or silent.pop(place, None) is None:
            return
        self._count -= 1
        if not silent:
            del self._silent[address]
