"""Nothing that cannot be ordered is shown as orderable."""

from __future__ import annotations

import asyncpg

from api.rest import serializers
from storage.postgres.database import open_database

SEED = """
INSERT INTO zones (id, name) VALUES (1, 'zone');
INSERT INTO stores (id, zone_id, name, lat, lon) VALUES (1, 1, 'store', 0, 0);
INSERT INTO products (id, store_id, name, price_minor, currency) VALUES (1, 1, 'bread', 100, 'EUR');
"""


async def test_products_of_a_closed_store_are_not_shown_as_active_until_it_opens_again(
    database_url: str,
) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute(SEED)
    async with open_database(database_url, size_max=1) as database:
        shown, versions = [], []
        for active in (True, False, True):
            await owner.execute("UPDATE stores SET active = $1 WHERE id = 1", active)
            row = await database.row("product_get", 1)
            assert row is not None
            listed = await database.rows("product_numbered", 50, 0, None)
            shown.append((serializers.product(row)["active"], len(listed)))
            versions.append(row["version"])
    assert shown == [(True, 1), (False, 0), (True, 1)]
    assert versions == [1, 2, 3], "what is shown of it has changed, so its tag has"
    await owner.execute("UPDATE stores SET active = false WHERE id = 1")
    await owner.execute(
        "INSERT INTO products (id, store_id, name, price_minor, currency) VALUES (2, 1, 'roll', 50, 'EUR')"
    )
    assert not await owner.fetchval("SELECT store_active FROM products WHERE id = 2")
    await owner.close()
