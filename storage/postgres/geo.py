"""Implementation of the search around a place: PostGIS if the database has it, else a bounding box and the sphere.

Both pass one contract (tests/contracts/test_geo.py): the same stores, the same distances to a millimetre, on the same
sphere. By `make bench-geo` (figures in loadtests/README.md) the box is as good for a mall and needs no extension.
PostGIS is faster for a page out of many near stores.
"""

from __future__ import annotations

import asyncpg


async def choose_body(database_url: str, *, postgis: bool = True) -> str:
    """Choose the implementation, at each start. Returns `postgis` or `box`.

    Args:
        database_url: URL of the tables' owner.
        postgis: False: never use it.
    """
    owner = await asyncpg.connect(database_url)
    try:
        return str(await owner.fetchval("SELECT choose_stores_near($1)", postgis))
    finally:
        await owner.close()
