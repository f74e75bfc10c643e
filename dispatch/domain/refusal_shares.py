"""Learned chances that an offer is declined or lapses: of each driver of a zone, and of all of them."""

from __future__ import annotations

# What is believed before the first answer.
FIRST_SHARE = 0.1
# Weight of one answer: for all drivers together, and for the driver who gave it.
ZONE_WEIGHT, DRIVER_WEIGHT = 0.02, 0.15
# Drivers that are remembered; who answered longest ago is forgotten first, and counts as all of them do.
DRIVERS_MAX = 2_000


class RefusalShares:
    """Shares of offers without an acceptance. A driver who has not answered yet counts as all of them do."""

    __slots__ = ("_own", "everybody")

    def __init__(self) -> None:
        self.everybody = FIRST_SHARE
        self._own: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._own)

    def own(self, driver_id: int) -> float | None:
        """The driver's own share; None: it is not known."""
        return self._own.get(driver_id)

    def answered(self, driver_id: int, *, refused: bool) -> None:
        """Learn from a driver's answer, or from its silence."""
        before = self._own.pop(driver_id, self.everybody)
        self._own[driver_id] = before + DRIVER_WEIGHT * (refused - before)
        if len(self._own) > DRIVERS_MAX:
            del self._own[next(iter(self._own))]

    def offered(self, *, refused: bool) -> None:
        """Learn from how a wave of offers went on: nobody wanted it, or somebody took it."""
        self.everybody += ZONE_WEIGHT * (refused - self.everybody)
