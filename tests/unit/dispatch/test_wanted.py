"""Which drivers an event of an order is news for."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.jobs.events import FOLLOWING, TYPES
from dispatch.notices.kinds import KINDS
from dispatch.notices.wanted import CUSTOMER_NEWS, STOCK_NEWS, drivers_concerned


def order(actor_role: str = "admin", carrier: int | None = None, **data: Any) -> dict[str, Any]:
    return {"actor_role": actor_role, "driver_id": carrier, "event_data": data or None}


@pytest.mark.parametrize(
    ("event", "row", "told"),
    [
        ("order.assigned", order(driver_id="drv_3"), {3: "driver_assigned"}),
        ("order.assigned", order("driver", driver_id="drv_3"), {}),
        (
            "order.reassigned",
            order() | {"event_data": {"driver_id": "drv_4", "from": "drv_3"}},
            {4: "driver_assigned", 3: "driver_released"},
        ),
        ("order.released", order(driver_id="drv_3"), {3: "driver_released"}),
        ("order.cancelled", order("customer", 3), {3: "driver_cancelled"}),
        ("order.cancelled", order("customer"), {}),
        ("order.delivered", order(carrier=3), {}),
    ],
)
def test_driver_hears_what_others_have_done(event: str, row: dict[str, Any], told: dict[int, str]) -> None:
    assert drivers_concerned(event, row) == told


def test_every_event_that_is_told_has_a_task_and_every_notice_a_kind() -> None:
    assert set(FOLLOWING) <= set(TYPES)
    for event in CUSTOMER_NEWS:
        assert FOLLOWING[event] == ("notify_order",)
    for event in STOCK_NEWS:
        assert FOLLOWING[event] == ("notify_stock",)
    assert {*CUSTOMER_NEWS.values(), *STOCK_NEWS.values(), "refunded"} <= set(KINDS)
