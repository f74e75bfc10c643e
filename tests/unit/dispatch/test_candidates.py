"""Candidates: the grid finds the same drivers as a look at all of them."""

from __future__ import annotations

from random import Random

import pytest

from dispatch.domain.planning import PlanDriver, Spot
from dispatch.domain.planning.candidates import DriverGrid
from dispatch.domain.planning.legs import Legs
from dispatch.domain.planning.routes import RouteBook
from dispatch.domain.planning.trips import TripShapes
from tests.unit.dispatch.planning_worlds import NOW_S, SETTINGS


@pytest.mark.parametrize("seed", range(12))
def test_grid_finds_the_soonest_drivers(seed: int) -> None:
    chance = Random(seed)
    legs = Legs(SETTINGS.travel.seconds)
    shapes = TripShapes([], legs, SETTINGS)
    town_m = 4000.0 if seed % 2 else 60_000.0

    def spot() -> Spot:
        return Spot(chance.uniform(-town_m, town_m), chance.uniform(-town_m, town_m))

    drivers = [
        PlanDriver(number, spot(), NOW_S + chance.choice((-99, 0, 200, 900)), NOW_S + 9000)
        for number in range(150)
    ]
    books = [
        RouteBook(each, NOW_S, legs, shapes, SETTINGS, dict.fromkeys(range(9999), 0.0)) for each in drivers
    ]
    grid = DriverGrid(books, legs, SETTINGS.travel.metres_per_s, NOW_S)
    for _ in range(20):
        at, due_s = legs.number(spot()), NOW_S + chance.choice((0, 500, 3000))
        without = set(chance.sample(range(150), 10))

        def rank(number: int, at: int = at, due_s: float = due_s) -> tuple[float, float, int]:
            away_s = legs.rows[books[number].spot][at]
            return max(books[number].start_s + away_s, due_s), away_s, number

        wanted = sorted((number for number in range(150) if number not in without), key=rank)[:12]
        assert grid.soonest(at, due_s, 12, without) == wanted


def test_grid_without_drivers_finds_none() -> None:
    legs = Legs(SETTINGS.travel.seconds)
    grid = DriverGrid([], legs, SETTINGS.travel.metres_per_s, NOW_S)
    assert grid.soonest(legs.number(Spot(0, 0)), NOW_S, 5, ()) == []
