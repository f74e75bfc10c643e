"""Which body the search around a place has: PostGIS where the database offers it, a box and the sphere elsewhere.

Both are held to one contract (tests/contracts/test_geo.py): the same stores, the same distances to a
millimetre, on the same sphere. Measured with `make bench-geo` (loadtests/README.md has the figures): the box
needs nothing and is as good for a mall; PostGIS pays where a page is wanted out of many near stores.
"""

from __future__ import annotations

import asyncpg


async def choose_body(database_url: str, *, postgis: bool = True) -> str:
    """Choose anew, as every start does; returns `postgis` or `box`.

    Args:
        database_url: of the tables' owner.
        postgis: False to do without it.
    """
    owner = await asyncpg.connect(database_url)
    try:
        return str(await owner.fetchval("SELECT choose_stores_near($1)", postgis))
    finally:
        await owner.close()
