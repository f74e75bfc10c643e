"""Every operation that writes, with a body that would be accepted: what tests of malformed input spoil."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.acceptance.sample_mall import DRIVER, ORDER, SOON, STORE, ZONE


class Operation(NamedTuple):
    """How to call an operation: `{order}` is an order of the sample customer; no body: it takes none."""

    method: str
    path: str
    role: str
    body: Any = None


# Everything that writes, with a body that would be accepted.
WRITES: Mapping[str, Operation] = {
    "auth.register": Operation(
        "POST", "/api/v2/auth/register", "", {"email": "a@b.example", "password": "long enough", "name": "A"}
    ),
    "auth.login": Operation(
        "POST", "/api/v2/auth/login", "", {"email": "a@b.example", "password": "long enough"}
    ),
    "auth.refresh": Operation("POST", "/api/v2/auth/refresh", "", {"refresh_token": "r" * 60}),
    "auth.logout": Operation("POST", "/api/v2/auth/logout", "customer"),
    "auth.password": Operation(
        "POST", "/api/v2/me/password", "customer",
        {"old_password": "not the old one", "new_password": "long enough"},
    ),
    "users.create": Operation(
        "POST", "/api/v2/users", "admin",
        {"email": "d@b.example", "password": "long enough", "name": "D", "role": "driver",
         "zone_id": ZONE, "capacity": 2},
    ),
    "auth.reset": Operation(
        "POST", "/api/v2/auth/password-reset", "",
        {"token": f"rst_{'5f0c1d9e' * 8}", "new_password": "long enough"},
    ),
    "auth.request_reset": Operation(
        "POST", "/api/v2/auth/password-reset-requests", "", {"email": "a@b.example"}
    ),
    "auth.change_profile": Operation(
        "PATCH", "/api/v2/me/profile", "customer",
        {"phone": "+4930123456", "locale": "de", "time_zone": "Europe/Berlin",
         "quiet_hours": {"begin": "22:00", "end": "07:00"}},
    ),
    "auth.choose_notices": Operation(
        "PUT", "/api/v2/users/me/notice-preferences", "customer",
        {"choices": [{"type": "assigned", "channel": "sms", "wanted": False}]},
    ),
    "users.change_profile": Operation("PATCH", "/api/v2/users/usr_3/profile", "admin", {"locale": "de"}),
    "users.choose_notices": Operation(
        "PUT", "/api/v2/users/usr_3/notice-preferences", "admin",
        {"choices": [{"type": "driver_digest", "channel": "mail", "wanted": False}]},
    ),
    "stores.set_contact": Operation(
        "PUT", "/api/v2/stores/sto_1/contact", "admin",
        {"email": "shop@b.example", "phone": "+4930123456", "locale": "de"},
    ),
    "users.password": Operation(
        "PUT", "/api/v2/users/usr_3/password", "admin", {"new_password": "long enough"}
    ),
    "users.reset": Operation("POST", "/api/v2/users/usr_3/password-reset", "admin"),
    "users.delete": Operation("DELETE", "/api/v2/users/usr_999999", "admin"),
    "users.update": Operation(
        "PATCH", "/api/v2/users/usr_3", "admin", {"name": "D", "zone_id": ZONE, "capacity": 2}
    ),
    "zones.create": Operation(
        "POST", "/api/v2/zones", "admin",
        {"name": "Z", "mode": "waves", "wave_size": 3, "offer_ttl_s": 20, "offer_distance_max_m": 50_000,
         "release_pause_s": 600, "give_up_after_s": 3600, "driver_pay_minor": 350,
         "unassigned_after_s": 300,
         "planning": {"speed_m_per_s": 5.0, "street_factor": 1.3, "pickup_s": 120, "dropoff_s": 120,
                      "trip_orders_max": 3, "detour_max_s": 900, "rest_s": 60, "planned_offers": 3,
                      "site_radius_m": 300, "pooling": True, "pooling_wait_max_s": 240,
                      "travel_round_s": 0, "time_scale": 1.0,
                      "ladder": [{"mode": "planned", "drivers": 1, "offer_s": 20, "reach_m": 5000, "times": 2,
                                  "unplanned_s": 10},
                                 {"mode": "nearest", "drivers": 3, "offer_s": 20, "reach_m": 9000, "times": 3,
                                  "unplanned_s": 10}]},
         "area": [{"lat": 0, "lon": 0}, {"lat": 0, "lon": 1}, {"lat": 1, "lon": 1}]},
    ),
    "zones.update": Operation("PATCH", "/api/v2/zones/zon_1", "admin", {"name": "Z", "offer_ttl_s": 20}),
    "stores.create": Operation(
        "POST", "/api/v2/stores", "admin",
        {"zone_id": ZONE, "name": "S", "lat": 52.5, "lon": 13.4, "preparation_s": 60},
    ),
    "stores.update": Operation(
        "PATCH", "/api/v2/stores/sto_1", "admin", {"name": "S", "lat": 52.5, "active": True}
    ),
    "stores.delete": Operation("DELETE", "/api/v2/stores/sto_1", "admin"),
    "products.create": Operation(
        "POST", "/api/v2/products", "admin",
        {"store_id": STORE, "name": "P", "price": {"amount_minor": 450, "currency": "EUR"}, "stock": 5,
         "low_stock": 2},
    ),
    "products.update": Operation(
        "PATCH", "/api/v2/products/prd_1", "admin", {"name": "P", "stock": 5, "active": True}
    ),
    "products.delete": Operation("DELETE", "/api/v2/products/prd_1", "admin"),
    "orders.create": Operation("POST", "/api/v2/orders", "customer", {**ORDER, "notes": "ring twice"}),
    "orders.ready_time": Operation(
        "PUT", "/api/v2/orders/{order}/ready-time", "admin", {"ready_at": SOON}
    ),
    "orders.track_ticket": Operation("POST", "/api/v2/orders/{order}/track/tickets", "customer"),
    "orders.share": Operation("POST", "/api/v2/orders/{order}/share", "customer"),
    "orders.unshare": Operation("DELETE", "/api/v2/orders/{order}/share", "customer"),
    "orders.accept": Operation(
        "POST", "/api/v2/orders/{order}/acceptance", "driver", {"offer_id": "ofr_1_1"}
    ),
    "orders.decline": Operation(
        "POST", "/api/v2/orders/{order}/decline", "driver", {"offer_id": "ofr_1_1", "reason": "far"}
    ),
    "orders.pickup": Operation("POST", "/api/v2/orders/{order}/pickup", "driver", {}),
    "orders.delivery": Operation("POST", "/api/v2/orders/{order}/delivery", "driver", {}),
    "orders.failure": Operation("POST", "/api/v2/orders/{order}/failure", "driver", {"reason": "no answer"}),
    "orders.return": Operation("POST", "/api/v2/orders/{order}/return", "driver", {}),
    "orders.cancel": Operation(
        "POST", "/api/v2/orders/{order}/cancellation", "customer", {"reason": "too late"}
    ),
    "orders.assign": Operation("POST", "/api/v2/orders/{order}/assignment", "admin", {"driver_id": DRIVER}),
    "orders.reassign": Operation(
        "POST", "/api/v2/orders/{order}/reassignment", "admin", {"driver_id": DRIVER, "reason": "dead phone"}
    ),
    "orders.conclude": Operation(
        "POST", "/api/v2/orders/{order}/conclusion", "admin", {"outcome": "returned", "reason": "at the counter"}
    ),
    "orders.release": Operation("POST", "/api/v2/orders/{order}/release", "admin", {"reason": "stuck"}),
    "payments.create": Operation(
        "POST", "/api/v2/payments", "customer", {"order_id": "ord_1", "method": "card", "token": "tok_success"}
    ),
    "payments.refund": Operation(
        "POST", "/api/v2/payments/pay_1/refund", "admin",
        {"amount": {"amount_minor": 100, "currency": "EUR"}, "reason": "stale"},
    ),
    "payments.settle": Operation(
        "POST", "/api/v2/payments/pay_1/settlement", "admin", {"outcome": "voided", "reason": "as the books say"}
    ),
    "webhooks.create": Operation(
        "POST", "/api/v2/webhooks", "admin",
        {"url": "https://hooks.example/in", "description": "till", "types": ["order.created"], "zone_ids": [ZONE],
         "store_ids": [STORE], "on_refused": "stop"},
    ),
    "webhooks.update": Operation(
        "PATCH", "/api/v2/webhooks/whk_999999", "admin", {"url": "https://hooks.example/in", "types": ["stock.out"]}
    ),
    "webhooks.delete": Operation("DELETE", "/api/v2/webhooks/whk_999999", "admin"),
    "webhooks.rotate": Operation("POST", "/api/v2/webhooks/whk_999999/secret", "admin"),
    "webhooks.test": Operation("POST", "/api/v2/webhooks/whk_999999/test", "admin"),
    "webhooks.replay": Operation(
        "POST", "/api/v2/webhooks/whk_999999/replay", "admin",
        {"first": "evt_1", "last": "evt_2", "since": SOON, "types": ["order.created"]},
    ),
    "webhooks.enable": Operation("POST", "/api/v2/webhooks/whk_999999/enabling", "admin", {"from": "now"}),
    "webhooks.retry": Operation("POST", "/api/v2/webhooks/whk_999999/dead-letters/evt_1/retry", "admin"),
    "drivers.availability": Operation(
        "PUT", "/api/v2/drivers/me/availability", "driver", {"status": "offline"}
    ),
    "drivers.take_offline": Operation(
        "PUT", f"/api/v2/drivers/{DRIVER}/availability", "admin", {"status": "offline"}
    ),
    "drivers.location": Operation(
        "PUT", "/api/v2/drivers/me/location", "driver", {"lat": 52.5, "lon": 13.4, "cseq": 1}
    ),
    "jobs.retry": Operation("POST", "/api/v2/jobs/job_999999/retry", "admin"),
    "jobs.discard": Operation("POST", "/api/v2/jobs/job_999999/discard", "admin"),
    "jobs.act": Operation(
        "POST", "/api/v2/job-actions", "admin",
        {"action": "retry", "filter": {"task": "mail", "state": "dead", "key": "k", "trace_id": "f" * 32},
         "dry_run": True, "expected_count": 3},
    ),
    "jobs.pause": Operation(
        "PUT", "/api/v2/job-tasks/no_such_task/pause", "admin", {"reason": "the sender is down"}
    ),
    "jobs.resume": Operation("DELETE", "/api/v2/job-tasks/no_such_task/pause", "admin"),
    "jobs.change_schedule": Operation(
        "PATCH", "/api/v2/job-schedules/no_such_schedule", "admin", {"paused": True}
    ),
    "jobs.run_schedule": Operation("POST", "/api/v2/job-schedules/no_such_schedule/run", "admin"),
    "console.ticket": Operation("POST", "/api/v2/console/tickets", "admin"),
    "feed.ticket": Operation("POST", "/api/v2/realtime/tickets", "driver"),
}  # fmt: skip
# They need an Idempotency-Key.
KEYED = frozenset({"orders.create", "payments.create", "payments.refund"})
WITH_BODY = {name: write for name, write in WRITES.items() if write.body is not None}
BODILESS = {name: write for name, write in WRITES.items() if write.body is None}
