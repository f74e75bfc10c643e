"""What the trips of a day saved, and what no trips could have exceeded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dispatch.domain.geo import Place
from dispatch.domain.planning import Plane, Spot, sites_of
from dispatch.domain.planning.hindsight import PastOrder, TripLimits, alone_m, saved_m, saving_bound_m

# What a zone has that says nothing else; as in `ZonePlanSettings`.
USUAL: Mapping[str, float] = {
    "speed_m_per_s": 5.0, "street_factor": 1.3, "trip_orders_max": 3, "detour_max_s": 900, "site_radius_m": 0,
    "pooling_wait_max_s": 300, "time_scale": 1.0,
}  # fmt: skip


class DeliveredOrder(NamedTuple):
    """An order as `next_pooling_day()` tells it; times in seconds."""

    id: int
    store_id: int
    store_lat: float
    store_lon: float
    door_lat: float
    door_lon: float
    ready_s: float
    picked_up_s: float | None
    promised_s: float | None
    trip_id: str | None
    place: int | None


@dataclass(frozen=True, slots=True)
class PoolingFigures:
    """Metres along the way: each order alone and back, what trips saved of that, and what no trips could exceed.

    What trips saved counts as possible, whatever the limits were.
    """

    alone_m: float = 0.0
    saved_m: float = 0.0
    bound_m: float = 0.0


def pooling_figures(planning: Mapping[str, Any] | None, rows: Sequence[Sequence[Any]]) -> PoolingFigures:
    """The figures of a zone's day."""
    delivered = [DeliveredOrder(*row) for row in rows]
    if not delivered:
        return PoolingFigures()
    known = {**USUAL, **{name: value for name, value in (planning or {}).items() if name in USUAL}}
    # Times are those of the zone's clock; distances are those of the street.
    speed = known["speed_m_per_s"] * known["time_scale"]
    limits = TripLimits(
        speed,
        known["street_factor"],
        int(known["trip_orders_max"]),
        known["detour_max_s"] / known["time_scale"],
    )
    past = _past(delivered, known["site_radius_m"], known["pooling_wait_max_s"] / known["time_scale"])
    made_m = sum(saved_m(trip, limits) for trip in _trips(delivered, past))
    bound_m = max(made_m, saving_bound_m(list(past.values()), limits))
    return PoolingFigures(alone_m(list(past.values()), limits), made_m, bound_m)


def _past(delivered: Sequence[DeliveredOrder], radius_m: float, wait_max_s: float) -> dict[int, PastOrder]:
    """By number. An order could wait for partners as long as its zone allows, or as long as it did wait."""
    plane = Plane(Place(delivered[0].store_lat, delivered[0].store_lon))
    stores: dict[int, Spot] = {}
    for each in delivered:
        stores[each.store_id] = plane.spot(Place(each.store_lat, each.store_lon))
    sites, found = sites_of(stores, radius_m), {}
    for each in delivered:
        until_s = max(each.ready_s + wait_max_s, each.picked_up_s or 0.0)
        promised_s = float("inf") if each.promised_s is None else each.promised_s
        store, door = stores[each.store_id], plane.spot(Place(each.door_lat, each.door_lon))
        found[each.id] = PastOrder(sites[each.store_id], store, door, each.ready_s, until_s, promised_s)
    return found


def _trips(delivered: Sequence[DeliveredOrder], past: Mapping[int, PastOrder]) -> list[list[PastOrder]]:
    """Orders that were delivered in one trip, in its sequence."""
    trips: defaultdict[str, list[DeliveredOrder]] = defaultdict(list)
    for each in delivered:
        if each.trip_id is not None:
            trips[each.trip_id].append(each)
    return [
        [past[each.id] for each in sorted(trip, key=lambda each: each.place or 0)] for trip in trips.values()
    ]
