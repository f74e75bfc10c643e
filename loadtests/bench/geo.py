"""Measures the search around a place: the box, and PostGIS where it is installed.

Both bodies have the same stores, in two databases of one server, and are asked in turn, one query at a time,
as the server asks them; so whatever else the machine does hits both alike. Compare ratios, not times.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from math import cos, radians
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from dispatch.domain.geo import EARTH_RADIUS_M, Place
from loadtests.kit.report import quantile
from loadtests.kit.tool import make_parser, run_tool
from storage.embedded import EmbeddedPostgres
from storage.postgres.database import Database, open_database
from storage.postgres.geo import choose_body
from storage.postgres.migrate import migrate

# Debian's: the wheel's Postgres brings no PostGIS.
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
BODIES = ("box", "postgis")
# What people ask for: around the corner, the town, all that the API allows. With a page of the usual length.
RADII_M = (1_000, 5_000, 50_000)
LIMIT = 50
TOWNS, TOWN_M = 20, 10_000
_DEGREE_M = EARTH_RADIUS_M * radians(1)


@dataclass
class GeoMeasure:
    """What was measured for one number of stores, one radius and one body: seconds, and stores found."""

    stores: int
    radius_m: int
    body: str
    seconds: list[float] = field(default_factory=list)
    found: int = 0

    def ms(self, share: float) -> float:
        """A quantile in milliseconds."""
        return quantile(sorted(self.seconds), share) * 1000


def make_stores(count: int, chance: random.Random) -> tuple[list[Place], list[Place]]:
    """Towns of a country, and stores: most of them within ten kilometres of a town's middle."""
    towns = [Place(chance.uniform(47, 55), chance.uniform(6, 15)) for _ in range(TOWNS)]

    def near(town: Place) -> Place:
        north_m, east_m = chance.gauss(0, TOWN_M / 2), chance.gauss(0, TOWN_M / 2)
        return Place(town.lat + north_m / _DEGREE_M, town.lon + east_m / (_DEGREE_M * cos(radians(town.lat))))

    return towns, [near(chance.choice(towns)) for _ in range(count)]


async def _fill(url: str, stores: Sequence[Place]) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("TRUNCATE zones CASCADE; INSERT INTO zones (id, name) VALUES (1, 'country')")
    await owner.copy_records_to_table(
        "stores",
        records=[(n, 1, f"store {n}", place.lat, place.lon) for n, place in enumerate(stores, 1)],
        columns=["id", "zone_id", "name", "lat", "lon"],
    )
    await owner.execute("VACUUM ANALYZE stores")
    await owner.close()


async def _make_database(server_url: str, body: str) -> str | None:
    """A migrated database with that body; None where it cannot be had."""
    owner = await asyncpg.connect(server_url)
    await owner.execute(f"CREATE DATABASE geo_{body}")
    await owner.close()
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/geo_{body}"))
    await migrate(url)
    return url if await choose_body(url, postgis=body == "postgis") == body else None


async def _ask(database: Database, cell: GeoMeasure, place: Place, *, counts: bool) -> None:
    began = perf_counter()
    rows = await database.rows("store_near", place.lat, place.lon, float(cell.radius_m), LIMIT)
    if counts:
        cell.seconds.append(perf_counter() - began)
        cell.found += len(rows)


@asynccontextmanager
async def _databases(server_url: str) -> AsyncIterator[dict[str, tuple[str, Database]]]:
    """By body: where its database is, and the way to it."""
    async with AsyncExitStack() as stack:
        found = {}
        for body in BODIES:
            url = await _make_database(server_url, body)
            if url is not None:
                found[body] = (url, await stack.enter_async_context(open_database(url, size_max=1)))
        yield found


async def bench(server_url: str, counts: Sequence[int], queries: int, seed: int) -> list[GeoMeasure]:
    """Every cell, by number of stores, radius and body."""
    cells: list[GeoMeasure] = []
    async with _databases(server_url) as databases:
        for count in counts:
            chance = random.Random(seed)
            towns, stores = make_stores(count, chance)
            for url, _ in databases.values():
                await _fill(url, stores)
            for radius_m in RADII_M:
                row = {body: GeoMeasure(count, radius_m, body) for body in databases}
                # The first ones make plans and fetch pages; they do not count.
                for number in range(-queries // 10, queries):
                    place = chance.choice(stores if number % 2 else towns)
                    for body, (_, database) in databases.items():
                        await _ask(database, row[body], place, counts=number >= 0)
                cells += row.values()
    return cells


@dataclass(frozen=True, slots=True)
class GeoReport:
    """Every measure; there are no limits."""

    measures: Sequence[GeoMeasure]
    passed: bool = True

    def lines(self) -> list[str]:
        """The table."""
        return lines(self.measures)


def lines(cells: Sequence[GeoMeasure]) -> list[str]:
    """The table, and how much longer the box takes."""
    heads = ("stores", "radius m", "body", "p50 ms", "p99 ms", "found", "p50 box/postgis")
    found = ["{:>8} {:>9} {:>8} {:>8} {:>8} {:>7} {:>16}".format(*heads)]
    for cell in cells:
        other = [
            c for c in cells if (c.stores, c.radius_m, c.body) == (cell.stores, cell.radius_m, "postgis")
        ]
        ratio = f"{cell.ms(0.5) / other[0].ms(0.5):.2f}" if other and cell.body == "box" else ""
        page = cell.found / len(cell.seconds)
        found.append(
            f"{cell.stores:>8} {cell.radius_m:>9} {cell.body:>8} {cell.ms(0.5):>8.2f} {cell.ms(0.99):>8.2f} "
            f"{page:>7.1f} {ratio:>16}"
        )
    if not any(cell.body == "postgis" for cell in cells):
        found.append("PostGIS is not installed (apt-get install postgresql-15-postgis-3): the box alone")
    return found


async def run(options: argparse.Namespace) -> GeoReport:
    """On a Postgres of its own."""
    bin_dir = POSTGRES_15 if (POSTGRES_15 / "initdb").exists() else None
    with tempfile.TemporaryDirectory(prefix="mall-geo-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # noqa: ASYNC240 - Postgres runs under an account of its own where we are root
        with EmbeddedPostgres(folder / "pg", bin_dir, durable=False) as server:
            return GeoReport(await bench(server.database_url, options.stores, options.queries, options.seed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = make_parser("loadtests.bench.geo", __doc__, json=False)
    parser.add_argument("--stores", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--queries", type=int, default=500, help="of each body in each cell")
    parser.add_argument("--seed", type=int, default=1)
    return run_tool(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
