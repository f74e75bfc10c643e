"""One contract for both bodies of the search around a place: the box, and PostGIS where it is installed.

The oracle looks at every store, with another formula than the box's, on the sphere that PostGIS uses. On the
spheroid distances differ by up to 0.57 %, which nobody minds who asks what is near.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import asin, atan2, cos, degrees, pi, radians, sin, sqrt
from typing import Any

import asyncpg
import pytest

from dispatch.domain.geo import Place, distance_m
from storage.geo import EARTH_RADIUS_M, metres_between
from storage.postgres.database import open_database
from storage.postgres.geo import choose_body
from storage.postgres.migrate import migrate
from tests.conftest import copy_database

STORES = 10_000
# Poles, both sides of the date line, its ends, and towns in all quarters.
CORNERS = [
    Place(90, 0), Place(-90, 0), Place(89.9, 120), Place(-89.7, -60), Place(0, 180), Place(0, -180),
    Place(-16.5, 179.95), Place(52, -179.99), Place(71, 180), Place(0, 0), Place(52.52, 13.405),
    Place(-33.87, 151.2), Place(40.7, -74), Place(69.65, 18.96), Place(-54.8, -68.3), Place(85.2, -180),
]  # fmt: skip
RADII_M = (1.0, 500.0, 5_000.0, 50_000.0, 300_000.0, 9_000_000.0)
# What the two formulas and PostGIS may differ by.
TOLERANCE_M = 0.001


def _beside(place: Place, away_m: float, bearing: float) -> Place:
    """The place that one reaches from another."""
    lat, lon, angle = radians(place.lat), radians(place.lon), away_m / EARTH_RADIUS_M
    there = asin(max(-1.0, min(1.0, sin(lat) * cos(angle) + cos(lat) * sin(angle) * cos(bearing))))
    turned = lon + atan2(sin(bearing) * sin(angle) * cos(lat), cos(angle) - sin(lat) * sin(there))
    return Place(degrees(there), (degrees(turned) + 540) % 360 - 180)


def _stores(chance: random.Random) -> list[Place]:
    """Half of them anywhere, half around the corners; some exactly on poles and date line."""
    exact = [Place(90, lon) for lon in (0, 180, -180, 45)] + [Place(-90, lon) for lon in (0, 7)]
    exact += [Place(lat, lon) for lat in (-60, 0, 60) for lon in (180, -180)]
    anywhere = [
        Place(degrees(asin(chance.uniform(-1, 1))), chance.uniform(-180, 180)) for _ in range(STORES // 2)
    ]
    around = [
        _beside(chance.choice(CORNERS), 10 ** chance.uniform(0, 5), chance.uniform(0, 2 * pi))
        for _ in range(STORES - STORES // 2 - len(exact))
    ]
    return exact + anywhere + around


def _chord_m(a: Place, b: Place) -> float:
    """Distance by the straight line through the globe."""
    one, two = (
        (
            cos(radians(p.lat)) * cos(radians(p.lon)),
            cos(radians(p.lat)) * sin(radians(p.lon)),
            sin(radians(p.lat)),
        )
        for p in (a, b)
    )
    half = sqrt(sum((x - y) ** 2 for x, y in zip(one, two, strict=True))) / 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, half))


@dataclass(frozen=True)
class Atlas:
    """A database full of stores, its body, and where the stores are (by id, from 1)."""

    url: str
    body: str
    places: Sequence[Place]

    async def near(self, place: Place, radius_m: float, limit: int = 20_000) -> list[tuple[int, float]]:
        """What the server asks, as the server's role."""
        async with open_database(self.url, size_max=1) as database:
            rows = await database.rows("store_near", place.lat, place.lon, radius_m, limit)
            return [(row["id"], row["distance_m"]) for row in rows]


async def _fill(url: str, places: Sequence[Place]) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("INSERT INTO zones (id, name) VALUES (1, 'world')")
    await owner.copy_records_to_table(
        "stores",
        records=[(n, 1, f"store {n}", place.lat, place.lon) for n, place in enumerate(places, 1)],
        columns=["id", "zone_id", "name", "lat", "lon"],
    )
    await owner.execute("ANALYZE stores")
    await owner.close()


LONG = pytest.mark.long


@pytest.fixture(
    params=[
        ("template_server", "box"),
        pytest.param(("template_server_15", "box"), marks=LONG),
        pytest.param(("template_server_15", "postgis"), marks=LONG),
    ],
    ids="/".join,
)
def server_and_body(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Address of a server with a template database, and a body."""
    template, body = request.param
    return str(request.getfixturevalue(template)), body


@pytest.fixture
async def atlas(server_and_body: tuple[str, str]) -> Atlas:
    server, body = server_and_body
    url = await copy_database(server)
    if await choose_body(url, postgis=body == "postgis") != body:
        pytest.skip("needs PostGIS (apt-get install postgresql-15-postgis-3)")
    places = _stores(random.Random(7))
    await _fill(url, places)
    return Atlas(url, body, places)


async def test_finds_what_looking_at_every_store_finds(atlas: Atlas) -> None:
    chance = random.Random(11)
    centres = [*CORNERS, *chance.sample(list(atlas.places), 8)]
    found_at_all = 0
    async with open_database(atlas.url, size_max=1) as database:
        for centre in centres:
            away = {n: _chord_m(centre, place) for n, place in enumerate(atlas.places, 1)}
            for radius_m in RADII_M:
                rows = await database.rows("store_near", centre.lat, centre.lon, radius_m, 20_000)
                _compare(away, rows, radius_m)
                found_at_all += len(rows)
    assert found_at_all > 50_000


def _compare(away: dict[int, float], rows: Sequence[Any], radius_m: float) -> None:
    found = {row["id"]: row["distance_m"] for row in rows}
    surely = {n for n, metres in away.items() if metres < radius_m - TOLERANCE_M}
    perhaps = {n for n, metres in away.items() if metres <= radius_m + TOLERANCE_M}
    assert surely <= set(found) <= perhaps
    assert max((abs(metres - away[n]) for n, metres in found.items()), default=0) <= TOLERANCE_M
    in_order = list(found.values())
    assert in_order == sorted(in_order)


async def test_nearest_come_first_and_a_page_is_the_beginning_of_the_whole(atlas: Atlas) -> None:
    for centre in CORNERS:
        whole = await atlas.near(centre, 300_000.0)
        page = await atlas.near(centre, 300_000.0, limit=20)
        assert [metres for _, metres in page] == [metres for _, metres in whole[:20]]
        assert len(page) == 20


async def test_places_that_coincide_on_the_date_line_are_found(atlas: Atlas) -> None:
    """PostGIS's index refuses some of these orders; the answer must come all the same."""
    for centre in (Place(0, 180), Place(0, -180), Place(-60, 180), Place(-60, -180), Place(60, 180)):
        found = await atlas.near(centre, 1.0, limit=20)
        assert [round(metres, 6) for _, metres in found[:2]] == [0, 0]


async def test_closed_store_is_not_found(atlas: Atlas) -> None:
    before = await atlas.near(CORNERS[10], 5_000.0)
    owner = await asyncpg.connect(atlas.url)
    await owner.execute("UPDATE stores SET active = false WHERE id = $1", before[0][0])
    await owner.close()
    assert await atlas.near(CORNERS[10], 5_000.0) == before[1:]


async def test_all_formulas_of_this_house_agree(atlas: Atlas) -> None:
    chance = random.Random(5)
    pairs = [tuple(chance.sample(list(atlas.places), 2)) for _ in range(500)]
    owner = await asyncpg.connect(atlas.url)
    for a, b in pairs:
        asked = await owner.fetchval("SELECT metres_between($1, $2, $3, $4)", *a, *b)
        twin, pure = metres_between(*a, *b), distance_m(a, b)
        # Nearly opposite places are where arc sines lose digits.
        tolerance_m = TOLERANCE_M if asked < 19_000_000 else 0.5
        assert abs(asked - twin) <= TOLERANCE_M
        assert abs(asked - pure) <= TOLERANCE_M
        assert abs(asked - _chord_m(a, b)) <= tolerance_m
    await owner.close()


# -- choosing the body -----------------------------------------------------------------------------


async def test_without_postgis_the_box_is_chosen(template_server: str) -> None:
    url = await copy_database(template_server)
    assert await choose_body(url) == "box"


@pytest.mark.long
async def test_body_follows_postgis_as_it_goes_and_comes(template_server_15: str) -> None:
    url = await copy_database(template_server_15)
    if await choose_body(url) != "postgis":
        pytest.skip("needs PostGIS (apt-get install postgresql-15-postgis-3)")
    await _fill(url, [CORNERS[10]])
    atlas = Atlas(url, "", [CORNERS[10]])
    owner = await asyncpg.connect(url)
    with pytest.raises(asyncpg.DependentObjectsStillExistError):
        await owner.execute("DROP EXTENSION postgis")
    assert await choose_body(url, postgis=False) == "box"
    await owner.execute("DROP EXTENSION postgis")
    assert len(await atlas.near(CORNERS[10], 10.0)) == 1
    await migrate(url)  # as every start does
    assert await owner.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'") == 1
    assert await owner.fetchval("SELECT to_regclass('stores_geography') IS NOT NULL")
    assert len(await atlas.near(CORNERS[10], 10.0)) == 1
    await owner.execute("DROP EXTENSION postgis CASCADE")
    await migrate(url)
    assert len(await atlas.near(CORNERS[10], 10.0)) == 1
    await owner.close()


@pytest.mark.long
async def test_owner_who_may_not_make_extensions_gets_the_box(template_server_15: str) -> None:
    url = await copy_database(template_server_15)
    await choose_body(url, postgis=False)
    owner = await asyncpg.connect(url)
    await owner.execute(
        """DROP EXTENSION IF EXISTS postgis; DROP ROLE IF EXISTS plain; CREATE ROLE plain;
        GRANT CREATE, USAGE ON SCHEMA public TO plain; ALTER TABLE stores OWNER TO plain;
        ALTER FUNCTION choose_stores_near OWNER TO plain; ALTER FUNCTION stores_near OWNER TO plain; SET ROLE plain"""
    )
    assert await owner.fetchval("SELECT choose_stores_near()") == "box"
    await owner.execute("RESET ROLE; DROP OWNED BY plain CASCADE; DROP ROLE plain")
    await owner.close()


@pytest.mark.long
async def test_sphere_and_spheroid_differ_by_half_a_percent_at_most(template_server_15: str) -> None:
    url = await copy_database(template_server_15)
    if await choose_body(url) != "postgis":
        pytest.skip("needs PostGIS (apt-get install postgresql-15-postgis-3)")
    await _fill(url, _stores(random.Random(7)))
    owner = await asyncpg.connect(url)
    worst = await owner.fetchval(
        """SELECT max(abs(metres_between(a.lat, a.lon, b.lat, b.lon) / true_m - 1))
             FROM stores a JOIN stores b ON b.id = a.id + 1,
                  LATERAL (SELECT ST_Distance(ST_MakePoint(a.lon, a.lat)::geography,
                                              ST_MakePoint(b.lon, b.lat)::geography) AS true_m) t
            WHERE true_m > 1000"""
    )
    await owner.close()
    assert 0.001 < worst < 0.0057
