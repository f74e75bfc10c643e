"""Who and what is in the sample mall of every new server, and an order that it would accept."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

# The first rows of the sample mall, and who is in it.
ZONE, STORE, PRODUCT, ADMIN, CUSTOMER, DRIVER = "zon_1", "sto_1", "prd_1", "usr_1", "usr_2", "drv_3"
PEOPLE = {
    "admin": ("admin@mall.example", "a password for tests"),
    "customer": ("customer@mall.example", "sample-customer"),
    "driver": ("driver@mall.example", "sample-driver"),
}
DROPOFF = {"lat": 52.52, "lon": 13.4, "address": "Second floor"}
ORDER = {"items": [{"product_id": PRODUCT, "quantity": 1}], "dropoff": DROPOFF, "payment": "cash"}
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
_numbers = itertools.count(1)


def fresh_key() -> str:
    """An Idempotency-Key that was not used before."""
    return f"key-of-bad-input-{next(_numbers)}"
