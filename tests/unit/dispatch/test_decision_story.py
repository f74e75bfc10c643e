"""The sentences that say why an order was offered to whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dispatch.decision_story import tell

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)


def event(
    kind: str, data: dict[str, Any] | None = None, role: str = "dispatch", **more: Any
) -> dict[str, Any]:
    return {
        "type": kind,
        "data": data,
        "actor_role": role,
        "actor_id": "zone",
        "reason": None,
        "at": AT,
        **more,
    }


def candidate(driver: str, door_s: int, **more: int) -> dict[str, Any]:
    costs = {"door_s": door_s, "driving_s": 0, "late_s": 0, "position_s": 0, **more}
    return {"driver_id": driver, "pickup_ms": AT_MS + 300_000, **costs}


def planned(**changes: Any) -> dict[str, Any]:
    plan = {
        "number": 12, "seed": 99, "at_ms": AT_MS, "orders": ["ord_5"], "latest_start_ms": AT_MS + 30_000, "stops": [],
        "chosen": candidate("drv_7", 600, position_s=-60), "next_best": [candidate("drv_8", 720)],
    }  # fmt: skip
    return {"wave": 1, "drivers": [7], "plan": plan | changes}


def told(row: dict[str, Any]) -> str:
    [one] = tell([row])
    return one.line()


def test_planned_offer_names_its_cost_and_the_next_best_driver() -> None:
    line = told(event("offered", planned()))
    assert line.startswith("2026-03-01T12:00:00Z  Offered to drv_7.")
    assert "10.0 min to the doors + -1.0 min for where the driver is afterwards = 9.0 min" in line
    assert "Next best: drv_8, pick-up at 12:05:00, 3.0 min more." in line
    assert "set out 0.5 min later" in line
    assert "(Plan 12, seed 99.)" in line


def test_cheaper_driver_is_said_to_be_needed_elsewhere() -> None:
    line = told(event("offered", planned(next_best=[candidate("drv_8", 480)])))
    assert "drv_8, pick-up at 12:05:00, 1.0 min less, but needed elsewhere" in line


def test_trip_names_its_orders() -> None:
    line = told(event("assigned", planned(orders=["ord_9", "ord_5"]) | {"driver_id": "drv_7"}))
    assert "Assigned to drv_7 by the zone. It is one trip with 2 orders" in line
    assert "ord_9, ord_5" in line


def test_wave_names_the_drivers_and_how_far_they_are() -> None:
    data = {"wave": 2, "drivers": [7, 8], "distances_m": [120, -1], "again": True}
    assert told(event("offered", data)).endswith(
        "Wave 2: offered to the nearest drivers, drv_7 (120 m away), drv_8 (place unknown), who had an offer before."
    )


def test_what_drivers_and_operators_did_is_told() -> None:
    rows = [
        event("declined", role="driver", actor_id="drv_7", reason="too far"),
        event("offer_expired", {"offers": ["ofr_5_1"]}),
        event("offer_withdrawn", {"offers": ["ofr_5_2"]}, reason="offline"),
        event("assigned", {"driver_id": "drv_8"}, role="driver"),
        event("assigned", {"driver_id": "drv_9"}, role="admin"),
        event("released", role="admin", reason="phone is dead"),
    ]
    assert [" ".join(each.sentences) for each in tell(rows)] == [
        "drv_7 declined (too far).",
        "No answer to ofr_5_1 in time.",
        "ofr_5_2 taken back: the driver is offline.",
        "drv_8 accepted.",
        "drv_9 was given it by admin.",
        "Released by admin (phone is dead).",
    ]


def test_rung_of_the_ladder_is_named_where_it_is_known() -> None:
    rung = {"number": 2, "mode": "nearest"}
    nearest = {"wave": 4, "drivers": [7], "distances_m": [90], "again": False, "rung": rung}
    assert "Rung 2 (nearest). Wave 4: offered to the nearest drivers, drv_7 (90 m away)." in told(
        event("offered", nearest)
    )
    planned_rung = {"rung": {"number": 1, "mode": "planned"}}
    assert "Rung 1 (planned). Offered to drv_7." in told(event("offered", planned() | planned_rung))


def test_end_of_the_ladder_and_the_board_are_told() -> None:
    assert "Nobody is asked any more" in told(event("unclaimed", {}, reason="ladder_ended"))
    assert "On the board" in told(event("mode_set", {"mode": "open"}))
