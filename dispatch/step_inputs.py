"""Inputs of the planner's steps: all that an answer depends on, and its compact form for the database.

A number that is read back is the very number that was written, so the same planner gives the same answer.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from actors.values import frozen
from dispatch.compiled_planner import planner_digest
from dispatch.domain.planning import (
    AssignedOrder,
    DemandPoint,
    PlanDriver,
    PlannedRoute,
    PlanOrder,
    PlanState,
    RecentDoor,
    SiteDemand,
    Spot,
)
from dispatch.zone_plan import ZonePlanSettings

# Of the form; another one is not read.
FORM = 1
# A stored input is at most so long, packed and unpacked.
PACKED_BYTES_MAX = 256 * 1024
UNPACKED_BYTES_MAX = 4 * 1024 * 1024
VERSION_LENGTH = 16
_SETTINGS = frozenset(each.name for each in fields(ZonePlanSettings))


class UnreadableStep(Exception):
    """A stored input of another form, or one that is damaged."""


@frozen
class StepInput:
    """What a step was told.

    Attributes:
        asked_ms: the time of the question. With the zone and the number of the plan it names the step.
    """

    zone_id: int
    asked_ms: int
    state: PlanState
    now_s: float
    seed: int
    settings: ZonePlanSettings


@cache
def planner_version() -> str:
    """Version of whatever makes an answer of an input: the planner's files, and what reads a zone's settings."""
    digest = hashlib.sha256(planner_digest().encode())
    digest.update(Path(__file__).with_name("zone_plan.py").read_bytes())
    return digest.hexdigest()[:VERSION_LENGTH]


def pack(told: StepInput) -> bytes:
    """The compact form. Values of one kind stand side by side, which makes it smaller."""
    state = told.state
    columns = {
        "form": FORM,
        "now_s": told.now_s,
        "seed": told.seed,
        "number": state.number,
        "settings": asdict(told.settings),
        "orders": _columns(_order_row(order) for order in state.orders),
        "drivers": _columns(
            (d.id, *d.spot, d.free_s, d.shift_end_s, d.slots, d.capacity_units, d.lead_s, d.rank,
             d.asked_from_s, d.fair_s)
            for d in state.drivers
        ),
        "assigned": _columns((*_order_row(a.order), a.driver_id, a.door_s, a.picked_up) for a in state.assigned),
        "before": [[route.driver_id, route.trips] for route in state.before],
        "demand": _columns((*point.spot, point.weight) for point in state.demand),
        "recent": [
            [site.site_id, site.period_s, [(door.order_id, *door.spot, door.lead_s) for door in site.doors]]
            for site in state.recent
        ],
    }  # fmt: skip
    return zlib.compress(orjson.dumps(columns), 6)


def unpack(zone_id: int, asked_ms: int, packed: bytes) -> StepInput:
    """The input of a stored step.

    Raises:
        UnreadableStep: another version has written it, or it is damaged.
    """
    try:
        columns = orjson.loads(_inflated(packed))
        if columns["form"] != FORM:
            raise UnreadableStep(f"form {columns['form']}")
        return StepInput(
            zone_id,
            asked_ms,
            _state(columns),
            columns["now_s"],
            columns["seed"],
            _settings(columns["settings"]),
        )
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableStep(type(error).__name__) from error


def _inflated(packed: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(packed, UNPACKED_BYTES_MAX)
    if not reader.eof:
        raise ValueError("cut off, or too long")
    return text


def _columns(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True))


def _rows(columns: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    return zip(*columns, strict=True)


def _state(columns: Mapping[str, Any]) -> PlanState:
    return PlanState(
        tuple(_order(row) for row in _rows(columns["orders"])),
        tuple(
            PlanDriver(number, Spot(x, y), free_s, end_s, slots, capacity, *others)
            for number, x, y, free_s, end_s, slots, capacity, *others in _rows(columns["drivers"])
        ),
        tuple(
            PlannedRoute(driver, tuple(tuple(trip) for trip in trips)) for driver, trips in columns["before"]
        ),
        tuple(DemandPoint(Spot(x, y), weight) for x, y, weight in _rows(columns["demand"])),
        columns["number"],
        tuple(
            AssignedOrder(_order(row), driver, door_s, picked_up)
            for *row, driver, door_s, picked_up in _rows(columns["assigned"])
        ),
        tuple(
            SiteDemand(
                site,
                period_s,
                tuple(RecentDoor(number, Spot(x, y), lead_s) for number, x, y, lead_s in doors),
            )
            for site, period_s, doors in columns["recent"]
        ),
    )


def _order_row(o: PlanOrder) -> tuple[Any, ...]:
    return (
        o.id, o.site_id, o.store_id, *o.pickup, *o.dropoff, o.placed_s, o.ready_s, o.promise_s, o.units,
        sorted(o.declined_by), o.ready_spread_s,
    )  # fmt: skip


def _order(row: Sequence[Any]) -> PlanOrder:
    number, site, store, px, py, dx, dy, placed_s, ready_s, promise_s, units, declined, spread_s = row
    pickup, dropoff = Spot(px, py), Spot(dx, dy)
    declined_by = frozenset(declined)
    return PlanOrder(
        number, site, store, pickup, dropoff, placed_s, ready_s, promise_s, units, declined_by, spread_s
    )


def _settings(row: Mapping[str, Any]) -> ZonePlanSettings:
    """As they were; a field that this version does not know is passed over, one that it added has its usual value."""
    return ZonePlanSettings(**{name: value for name, value in row.items() if name in _SETTINGS})
