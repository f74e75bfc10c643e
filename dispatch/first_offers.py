"""Waits for first offers: from when a driver could be asked for an order until one was."""

from __future__ import annotations

from collections.abc import Iterable


class FirstOffers:
    """Orders of a zone for which nobody was asked yet, and since when somebody could have been.

    An order that finds no driver waits for a driver, not for the zone: its wait begins anew with each matching that
    finds nobody.
    """

    __slots__ = ("_since_ms",)

    def __init__(self) -> None:
        self._since_ms: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._since_ms)

    def opened(self, number: int, now_ms: int) -> None:
        """An order looks for its first driver. If that is known already, nothing changes."""
        self._since_ms.setdefault(number, now_ms)

    def nobody(self, numbers: Iterable[int], now_ms: int) -> None:
        """No driver could be asked for these orders."""
        since_ms = self._since_ms
        for number in numbers:
            if number in since_ms:
                since_ms[number] = now_ms

    def asked(self, number: int, now_ms: int) -> float | None:
        """Wait of an order that was offered for the first time, in seconds; None: it was not the first time."""
        since_ms = self._since_ms.pop(number, None)
        return None if since_ms is None else max(0, now_ms - since_ms) / 1000

    def forget(self, number: int) -> None:
        """An order does not look for a driver any more."""
        self._since_ms.pop(number, None)

    def clear(self) -> None:
        """Forget all: the zone makes no offers."""
        self._since_ms.clear()
