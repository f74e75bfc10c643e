"""Examples of answers: one for each component of the document. Tests validate each against its schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from api.docs.schemas import component_of
from api.rest.tracking import frame

TRACE = "0af7651916cd43dd8448eb211c80319c"
_AT = "2026-03-01T12:00:00.000Z"
_MONEY = {"amount_minor": 450, "currency": "EUR"}
_PLACE = {"lat": 52.52, "lon": 13.405}
_USER = {
    "id": "usr_2", "email": "ada@mall.example", "name": "Ada", "role": "customer", "status": "active",
    "created_at": _AT,
}  # fmt: skip
_TOKENS = {
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMiJ9.c2lnbmF0dXJl", "token_type": "Bearer",
    "expires_in": 600, "refresh_token": "ref_Zm9ydHktdHdvLWNoYXJhY3RlcnMtb2YtY2hhbmNlLXRoYXQ",
}  # fmt: skip
_LINE = {"product_id": "prd_1", "quantity": 2}
_STOP = {"id": "sto_1", "name": "Bakery", **_PLACE}
_ITEM = {**_LINE, "name": "Rye bread", "price": _MONEY}
_ORDER = {
    "id": "ord_17", "number": 4, "status": "assigned", "version": 3, "zone_id": "zon_1",
    "store": _STOP,
    "pickups": [{"store": _STOP, "number": 4, "ready_at": "2026-03-01T12:10:00.000Z", "items": [_ITEM]}],
    "items": [_ITEM],
    "total": {"amount_minor": 900, "currency": "EUR"},
    "dropoff": {**_PLACE, "address": "Second floor, left"}, "payment": "cash", "notes": "Ring twice",
    "contact": {"name": "Ada", "phone": "+49 30 1234567"},
    "driver_id": "drv_3", "ready_at": "2026-03-01T12:10:00.000Z", "created_at": _AT,
    "updated_at": "2026-03-01T12:01:00.000Z", "customer_id": "usr_2",
    "eta": "2026-03-01T12:22:00.000Z", "promised_at": "2026-03-01T12:34:00.000Z",
}  # fmt: skip
_CHANGE = {
    "order_id": "ord_17", "version": 4, "status": "picked_up", "event": "picked_up", "driver_id": "drv_3",
    "reason": None, "at": "2026-03-01T12:05:00.000Z",
}  # fmt: skip
_ZONE = {
    "id": "zon_1", "name": "Mall", "mode": "waves", "wave_size": 3, "offer_ttl_s": 20, "area": None,
    "offer_distance_max_m": 50_000, "release_pause_s": 600, "give_up_after_s": 3600,
    "driver_pay_minor": 350, "unassigned_after_s": 300, "planning": None, "delivery_rules": None,
    "queue_radius_m": None, "version": 1,
}  # fmt: skip
_STORE = {
    "id": "sto_1", "zone_id": "zon_1", "name": "Bakery", **_PLACE, "preparation_s": 600, "preparation_learned": False,
    "delivery_radius_m": 5000, "active": True, "version": 1,
}  # fmt: skip
_PRODUCT = {
    "id": "prd_1", "store_id": "sto_1", "name": "Rye bread", "price": _MONEY, "stock": 25, "low_stock": 5,
    "active": True, "version": 1,
}  # fmt: skip
_DRIVER = {
    "id": "drv_3", "name": "Max", "zone_id": "zon_1", "status": "online", "state": "online", "capacity": 2,
    "location": _PLACE,
}  # fmt: skip

_EVENT = {
    "version": 3, "type": "assigned", "at": _AT, "by": {"role": "driver", "id": "drv_3"}, "reason": None,
    "trace_id": TRACE,
}  # fmt: skip
_DECISION = {
    "version": 2, "type": "offered", "at": _AT,
    "sentences": ["Offered to drv_3.", "No other driver could do it.", "(Plan 12, seed 1000015.)"],
    "plan": {
        "number": 12, "seed": 1_000_015, "asked_at": _AT, "at": _AT, "orders": ["ord_17"], "latest_start": _AT,
        "stops": [{"kind": "pickup", "at": _AT}, {"kind": "dropoff", "at": "2026-03-01T12:09:00.000Z"}],
        "chosen": {
            "driver_id": "drv_3", "pickup_at": _AT, "door_s": 840, "driving_s": 0, "late_s": 0, "position_s": -40,
        },
        "next_best": [],
    },
    "replay": {
        "outcome": "same", "planner": "5f0c1d9e5f0c41aa", "own_planner": "5f0c1d9e5f0c41aa", "differences": [],
    },
}  # fmt: skip
_PAYMENT = {
    "id": "pay_5", "order_id": "ord_17", "method": "card", "status": "held",
    "amount": {"amount_minor": 900, "currency": "EUR"}, "refunded": {"amount_minor": 0, "currency": "EUR"},
    "stuck": None, "decline_code": None, "version": 2,
    "created_at": _AT, "updated_at": _AT,
}  # fmt: skip
_WEBHOOK = {
    "id": "whk_1", "owner": {"user_id": "usr_1", "store_id": None}, "url": "https://shop.example/hooks",
    "description": None, "types": ["order.created", "order.delivered"], "zone_ids": [], "store_ids": ["sto_1"],
    "on_refused": "skip", "state": "good", "reached": "evt_41", "behind": 1, "behind_since": _AT, "failures": 0,
    "failing_since": None, "next_try_at": None, "last_attempt": {"at": _AT, "status": 204, "error": None},
    "dead_letters": 0, "gap": None, "disabled_at": None, "disabled_why": None, "secret_at": _AT,
    "old_secret_until": None, "version": 1, "created_at": _AT,
}  # fmt: skip
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 - an example
_ATTEMPT = {
    "message_id": "evt_41", "event_id": "evt_41", "replay_id": None, "at": _AT, "status": 204, "error": None,
    "took_ms": 38,
}  # fmt: skip
_DEAD_LETTER = {"event_id": "evt_40", "at": _AT, "status": 422, "refusals": 5}
_LOGGED = {
    "id": "evt_41", "type": "order.delivered", "timestamp": _AT, "sequence": 41, "trace_id": TRACE,
    "data": {"order_id": "ord_17", "version": 5, "status": "delivered", "zone_id": "zon_1", "store_ids": ["sto_1"]},
}  # fmt: skip

_JOB_ROW = {
    "id": "job_40", "task": "mail", "state": "dead", "key": "mail/order/17", "order_id": "ord_17",
    "trace_id": TRACE, "attempts": 1, "failures": 1, "deaths": 0, "error": "SMTPError: no such mailbox",
    "worker": None, "created_at": _AT, "due_at": None, "begun_at": None,
    "died_at": "2026-03-01T12:00:01.000Z",
}  # fmt: skip
_JOB = {
    **_JOB_ROW, "behind": None,
    "payload": {"type": "order.assigned", "ref": 17, "version": 3, "order_id": 17},
    "runs": [{
        "attempt": 1, "outcome": "dead", "worker": "mall-1/5f0c1d9e5f0c", "at": "2026-03-01T12:00:01.000Z",
        "took_ms": 240, "error": "SMTPError: no such mailbox",
    }],
    "actions": [],
    "links": {"order": "/api/v2/orders/ord_17", "trace": f"/api/v2/jobs?trace_id={TRACE}"},
}  # fmt: skip
_PAUSE = {"by": "usr_1", "reason": "the mail server is down", "at": _AT}
_JOB_ACTION = {
    "at": _AT, "by": "usr_1", "action": "retry", "count": 3, "jobs": ["job_40", "job_41", "job_42"], "task": "mail",
    "schedule": None,
}  # fmt: skip
_JOB_TASK = {
    "name": "mail", "waiting": 12, "running": 0, "scheduled": 2, "dead": 1, "oldest_s": 84.5, "paused": _PAUSE,
    "recent": {"window_s": 3600, "attempts": 620, "failures": 9, "p50_ms": 210, "p95_ms": 830},
}  # fmt: skip
_JOB_SCHEDULE = {
    "name": "trim_jobs", "task": "trim_jobs", "every_s": 600, "daily_at": None, "next_at": _AT, "last_at": None,
    "paused": False,
}  # fmt: skip

_DAY = {
    "day": "2026-03-01", "zone_id": "zon_1", "store_id": None, "orders": 40, "delivered": 36, "cancelled": 3,
    "undeliverable": 1, "delivery_mean_s": 1630.5, "delivery_p90_s": 2410.0,
    "cancelled_by": {"customer": 2, "admin": 0, "system": 1},
    "amounts": [{"currency": "EUR", "revenue_minor": 61200, "refunded_minor": 900, "driver_pay_minor": 12600}],
    "distance_alone_m": 151_200, "distance_saved_m": 61_400, "distance_saved_bound_m": 78_900,
    "updated_at": _AT,
}  # fmt: skip
_CASH = {
    "day": "2026-03-01", "zone_id": "zon_1", "driver_id": "drv_3", "deliveries": 9,
    "pay": {"amount_minor": 3150, "currency": "EUR"}, "cash": {"amount_minor": 8100, "currency": "EUR"},
    "updated_at": _AT,
}  # fmt: skip


def _page(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": [row], "next": None}


# In the order of the document.
EXAMPLES: Mapping[str, Any] = {
    "Money": _MONEY,
    "User": _USER,
    "ResetLink": {"token": f"rst_{'5f0c1d9e' * 8}", "expires_at": _AT},
    "Profile": {
        "id": "usr_2", "email": "ada@mall.example", "name": "Ada", "phone": "+4930123456", "locale": "de",
        "time_zone": "Europe/Berlin", "quiet_hours": {"begin": "22:00", "end": "07:00"},
    },
    "NoticeChoices": {"choices": [{"type": "assigned", "channel": "sms", "wanted": False, "usual": True}]},
    "StoreContact": {
        "store_id": "sto_1", "email": "bakery@mall.example", "phone": "+4930123456", "locale": "de",
    },
    "Tokens": _TOKENS,
    "Registered": {"user": _USER, **_TOKENS},
    "Keys": {"keys": [{
        "kty": "OKP", "crv": "Ed25519", "kid": "key-1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "use": "sig", "alg": "EdDSA",
    }]},
    "Zone": _ZONE,
    "Planning": {
        "speed_m_per_s": 5.0, "street_factor": 1.3, "pickup_s": 120, "dropoff_s": 120, "trip_orders_max": 3,
        "detour_max_s": 900, "rest_s": 60, "planned_offers": 3, "site_radius_m": 300, "pooling": True,
        "pooling_wait_max_s": 300, "travel_round_s": 0, "time_scale": 1.0,
        "ladder": [
            {"mode": "planned", "drivers": 1, "offer_s": 20, "reach_m": 5000, "times": 2, "unplanned_s": 10},
            {"mode": "nearest", "drivers": 3, "offer_s": 30, "reach_m": 20_000, "times": 5, "unplanned_s": 10},
            {"mode": "board", "drivers": 1, "offer_s": 20, "reach_m": 50_000, "times": None, "unplanned_s": 10},
        ],
        "speed_learned": True,
    },
    "DeliveryRules": {"dropoff_pin": True, "cancellation_fee_minor": 200, "offer_ahead_s": 1200},
    "Store": _STORE,
    "Product": _PRODUCT,
    "Order": _ORDER,
    "Event": _EVENT,
    "Decisions": {"order_id": "ord_17", "items": [_DECISION]},
    "OrderChange": _CHANGE,
    "OrderEvent": {"event": "order", "id": "3", "data": orjson.dumps(_ORDER).decode()},
    "ChangeEvent": {"event": "change", "id": "4", "data": orjson.dumps(_CHANGE).decode()},
    "OrderStream": (frame("order", 3, _ORDER) + frame("change", 4, _CHANGE)).decode(),
    "Share": {"url": "https://mall.example/t/#x7mZ0Qh2T1aYv5sKq3LdWA", "secret": "x7mZ0Qh2T1aYv5sKq3LdWA"},
    "SharedOrder": {
        "number": 4, "status": "picked_up", "returning": False,
        "stores": [{"name": "Bakery", **_PLACE, "ready_at": "2026-03-01T12:10:00.000Z"}],
        "steps": [
            {"step": "placed", "at": _AT}, {"step": "assigned", "at": "2026-03-01T12:01:00.000Z"},
            {"step": "picked_up", "at": "2026-03-01T12:12:00.000Z"}, {"step": "delivered", "at": None},
        ],
        "window": {"begins_at": "2026-03-01T12:20:00.000Z", "ends_at": "2026-03-01T12:35:00.000Z"},
        "promised_at": "2026-03-01T12:34:00.000Z", "deliver_at": None, "todo": ["cash", "be_at_the_door"],
        "door": {"lat": 52.5225, "lon": 13.4038}, "driver": {"first_name": "Max", "place": _PLACE}, "poll_after_s": 5,
    },
    "StreamTicket": {"ticket": "stk_Zm9ydHktdHdvLWNoYXJhY3RlcnMtb2YtY2hhbmNl", "expires_in": 600},
    "Done": {"result": "won", "order_id": "ord_17", "status": "assigned", "version": 3},
    "Payment": _PAYMENT,
    "Driver": {**_DRIVER, "orders": ["ord_17"], "connected": True, "queue_place": None},
    "DriverRow": {**_DRIVER, "carried": 1},
    "DailyFigures": _DAY,
    "DailyCash": _CASH,
    "Available": {"result": "now_online", "status": "online"},
    "Ticket": {"ticket": "tkt_dGlja2V0LW9mLW9uZS11c2U", "expires_in": 30},
    "Webhook": _WEBHOOK,
    "MadeWebhook": {**_WEBHOOK, "secret": _SECRET},
    "WebhookSecret": {"secret": _SECRET, "old_secret_until": _AT},
    "WebhookTest": {"message_id": f"ping_{TRACE}"},
    "Replay": {"id": "rpl_3", "first": "evt_1", "last": "evt_41"},
    "WebhookAttempt": _ATTEMPT,
    "DeadLetter": _DEAD_LETTER,
    "LoggedEvent": _LOGGED,
    "JobRow": _JOB_ROW,
    "Job": _JOB,
    "JobCount": {"action": "retry", "count": 3, "more": False, "done": True},
    "JobAction": _JOB_ACTION,
    "JobActions": _page(_JOB_ACTION),
    "Pause": _PAUSE,
    "JobTask": _JOB_TASK,
    "JobSchedule": _JOB_SCHEDULE,
    "JobTasks": {"items": [_JOB_TASK]},
    "JobSchedules": {"items": [_JOB_SCHEDULE]},
    "Health": {"status": "ready"},
    "Users": _page(_USER),
    "Zones": _page(_ZONE),
    "Stores": _page(_STORE),
    "Products": _page(_PRODUCT),
    "Orders": _page(_ORDER),
    "Payments": _page(_PAYMENT),
    "Events": _page(_EVENT),
    "Webhooks": _page(_WEBHOOK),
    "WebhookAttempts": _page(_ATTEMPT),
    "DeadLetters": _page(_DEAD_LETTER),
    "LoggedEvents": {"items": [_LOGGED], "next_after": "evt_41", "more": False, "missed": False},
    "JobRows": _page(_JOB_ROW),
    "DriverRows": _page({**_DRIVER, "carried": 1}),
    "DailyReport": _page(_DAY),
    "CashReport": _page(_CASH),
}  # fmt: skip


def answer_example(answer: type[Any], different: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The example of an answer's type, with the members that differ for one operation.

    Raises:
        KeyError: no example yet; write it above.
    """
    example = EXAMPLES[component_of(answer)]
    return {**example, **different} if different else example
