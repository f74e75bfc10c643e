"""The three files of the published evaluator, of a day in virtual time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from loadtests.replay.check import HEADERS
from loadtests.replay.day import Day
from loadtests.replay.record import Move
from loadtests.score.virtual_day import MINUTE_S, DayTrip


def minutes(seconds: float) -> str:
    """Minutes as the files want them: whole, but for days with steps of half a minute."""
    return f"{seconds / MINUTE_S:g}"


def write_trips(folder: Path, day: Day, trips: Iterable[DayTrip]) -> None:
    """Write them. Orders that nobody delivered are left out."""
    done = sorted(trips, key=lambda trip: (trip.picked_up_s, trip.courier))
    _write(
        folder,
        "assignments",
        (f"{minutes(t.assigned_s)} {minutes(t.picked_up_s)} {t.courier} {' '.join(t.orders)}" for t in done),
    )
    lines = {
        order: f"{minutes(trip.picked_up_s)} {minutes(door_s)} {trip.courier}"
        for trip in done
        for order, door_s in zip(trip.orders, trip.doors_s, strict=True)
    }
    orders = (f"{o.id} {o.placed} {o.ready} {lines[o.id]}" for o in day.orders.values() if o.id in lines)
    _write(folder, "orders", orders)
    moves: defaultdict[str, list[Move]] = defaultdict(list)
    for trip in done:
        moves[trip.courier] += trip.moves
    every = (move for courier in day.couriers for move in moves[courier])
    _write(
        folder, "couriers", (f"{m.courier} {minutes(m.departed)} {m.origin} {m.destination}" for m in every)
    )


def _write(folder: Path, name: str, lines: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"solution_info_{name}.txt").write_text("\n".join((HEADERS[name], *lines)) + "\n")
