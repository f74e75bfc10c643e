"""Offer ladder: who is asked for an order, one rung after the other, until somebody takes it.

An order stands on a rung by the number of times that it was offered in its round (`Order.wave`), so its place is known
after a takeover, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, NamedTuple

from actors.values import frozen

PLANNED, NEAREST, BOARD, DIRECT = "planned", "nearest", "board", "direct"
RUNG_MODES = (PLANNED, NEAREST, BOARD, DIRECT)
RUNGS_MAX = 8
# Rungs whose orders the planner places.
OF_PLANNER = frozenset({PLANNED, DIRECT})
# An order that no plan gives to anybody goes on to the next rung after this time.
UNPLANNED_S = 10
# After so many offers of a plan the nearest drivers are asked, where a zone does not say otherwise.
PLANNED_OFFERS = 3


@frozen
class Rung:
    """A rung.

    Attributes:
        mode: `planned`: a planner offers trips. `direct`: it assigns them. `nearest`: the nearest drivers get offers.
            `board`: all drivers of the zone see the order, and the first one wins.
        drivers: how many are asked at once.
        offer_s: how long they may think about it.
        reach_m: greatest distance between driver and pick-up.
        times: after so many times the order goes on to the next rung; None: it stays on this one.
        unplanned_s: an order that no plan gives to anybody is offered as the next rung says after this time.
    """

    mode: str
    drivers: int = 1
    offer_s: int = 20
    reach_m: int = 50_000
    times: int | None = None
    unplanned_s: int = UNPLANNED_S


class RungPlace(NamedTuple):
    """A rung, and its number from 1."""

    number: int
    rung: Rung

    def shown(self) -> dict[str, Any]:
        """As the history of an order has it."""
        return {"number": self.number, "mode": self.rung.mode}


@frozen
class OfferLadder:
    """The rungs of a zone. If the last one has a number of times, nobody is asked after it: operators are told."""

    rungs: tuple[Rung, ...]
    # Where an order stands, by the number of its offers; the last entry goes for all greater ones.
    _of_wave: tuple[RungPlace | None, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: list[RungPlace | None] = []
        for place in self:
            found += [place] * (place.rung.times or 1)
        # Each order is looked up in each turn of a zone.
        object.__setattr__(self, "_of_wave", (*found, None) if self.ends else tuple(found))

    def __iter__(self) -> Iterator[RungPlace]:
        return (RungPlace(number, rung) for number, rung in enumerate(self.rungs, 1))

    @property
    def ends(self) -> bool:
        """True if an order may come to its end."""
        return self.rungs[-1].times is not None

    @property
    def has_board(self) -> bool:
        """True if orders may come to stand on the board."""
        return self.rungs[-1].mode == BOARD

    def at(self, wave: int) -> RungPlace | None:
        """Where an order stands that was offered so many times; None: beyond the end."""
        return self._of_wave[wave] if wave < len(self._of_wave) else self._of_wave[-1]

    def unplanned(self, place: RungPlace) -> RungPlace | None:
        """The next rung that needs no plan and makes offers; None: there is none."""
        later = (each for each in self if each.number > place.number and each.rung.mode == NEAREST)
        return next(later, None)


def ladder_from(row: Mapping[str, Any]) -> OfferLadder:
    """The ladder of a zone's row: its own, or what its other settings say, which is the older form.

    Only a zone with a planner has one of its own. Fields of a newer version are passed over, and so is a rung of a mode
    that this version does not know.
    """
    own: Sequence[Mapping[str, Any]] = ()
    if row.get("plan") is not None:
        own = (row.get("planning") or {}).get("ladder") or ()
    rungs = tuple(_rung(each) for each in own if each["mode"] in RUNG_MODES)
    return OfferLadder(rungs) if rungs else _usual(row)


def _rung(row: Mapping[str, Any]) -> Rung:
    return Rung(**{name: row[name] for name in Rung.__dataclass_fields__ if name in row})


def _usual(row: Mapping[str, Any]) -> OfferLadder:
    """Some offers of the planner if there is one, then the nearest drivers, wave after wave."""
    nearest = Rung(NEAREST, row["wave_size"], row["offer_ttl_s"], row["offer_distance_max_m"])
    mode = row.get("plan")
    if mode is None:
        return OfferLadder((nearest,))
    times = (row.get("planning") or {}).get("planned_offers", PLANNED_OFFERS)
    return OfferLadder((Rung(mode, 1, nearest.offer_s, nearest.reach_m, times), nearest))
