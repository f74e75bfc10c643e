"""Values for every template of notices, as the tasks would give them, and recipients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dispatch.notices.recipients import Recipient
from dispatch.notices.values import money, order_values, pickup_values

# 1 March 2026, 12:00 UTC: 13:00 in Berlin.
NOON_MS = 1_772_366_400_000
ZOE = Recipient(2, 0, "Zoë Müller", "zoe@mall.example", "+4930123456", "en", "Europe/Berlin")
BERND = replace(ZOE, name="Bernd Größe", locale="de")
BAKERY = Recipient(0, 1, "Bäckerei <Nord>", "shop@mall.example", "+4930123457", "de", "Europe/Berlin")
ORDER_ROW: Mapping[str, Any] = {
    "id": 17,
    "customer_id": 2,
    "status": "assigned",
    "driver_id": 3,
    "total_minor": 123_450,
    "currency": "EUR",
    "payment": "card",
    "address": "Straße des 17. Juni 135, 2. Hof links",
    "notes": "Zweite Klingel",
    "items": [[1, "Roggenbrot", 2, 450], [2, "Zimtschnecke <frisch>", 3, 280]],
    "pickups": [[1, "Bäckerei", 52.5, 13.4, 4, [0]], [2, "Café", 52.5, 13.4, 9, [1]]],
    "ready_ms": NOON_MS + 600_000,
    "ready_each": [NOON_MS + 300_000, NOON_MS + 600_000],
    "created_ms": NOON_MS,
    "expected_ms": NOON_MS + 1_320_000,
    "promised_ms": NOON_MS + 2_040_000,
    "terms": {"pin": "0417"},
    "zone": "Altstadt-Passage",
    "event_data": {"driver_id": "drv_3", "eta_ms": NOON_MS + 1_800_000},
    "reason": "no_driver",
    "actor_role": "driver",
    "at_ms": NOON_MS + 60_000,
    "driver": "Max",
    "replaced": False,
}
SITE = "https://shop.mall.example"


def values_of(type_: str, **changed: Any) -> dict[str, Any]:
    """Values for a template of this type; `changed` columns of the order's row."""
    of_order = order_values({**ORDER_ROW, **changed}, SITE)
    others: dict[str, dict[str, Any]] = {
        "refunded": {**of_order, "refunded": money(450, "EUR")},
        "store_new_order": {**of_order, "pickup": pickup_values(ORDER_ROW, 2)},
        "stock_low": {"mall": "M", "store": "Bäckerei", "product": "Roggenbrot", "stock": 3},
        "stock_out": {"mall": "M", "store": "Bäckerei", "product": "Roggenbrot", "stock": 0},
        "driver_digest": {
            "mall": "M", "day_ms": NOON_MS, "deliveries": 7,
            "amounts": [{"pay": money(2450, "EUR"), "cash": money(1200, "EUR")}],
        },
        "webhook_disabled": {"mall": "M", "webhook": "whk_1", "host": "shop.example", "why": "gone"},
        "dead_jobs": {
            "mall": "M", "count": 3, "tasks": [{"task": "send_mail", "count": 3, "error": "refused"}],
        },
        "password_reset": {
            "mall": "M", "reset_url": f"{SITE}/password-reset#rst_{'5f' * 32}", "token": f"rst_{'5f' * 32}",
            "minutes": 60,
        },
    }  # fmt: skip
    return others.get(type_, of_order)
