"""Examples: one for each request model and each schema of an answer. Tests hold each against its schema, and the
bodies against their models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from api.docs.response_schemas import SCHEMAS
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
}  # fmt: skip
_CHANGE = {
    "order_id": "ord_17", "version": 4, "status": "picked_up", "event": "picked_up", "driver_id": "drv_3",
    "reason": None, "at": "2026-03-01T12:05:00.000Z",
}  # fmt: skip
_ZONE = {
    "id": "zon_1", "name": "Mall", "mode": "waves", "wave_size": 3, "offer_ttl_s": 20, "area": None,
    "offer_distance_max_m": 50_000, "release_pause_s": 600, "give_up_after_s": 3600,
    "driver_pay_minor": 350, "version": 1,
}  # fmt: skip
_STORE = {
    "id": "sto_1", "zone_id": "zon_1", "name": "Bakery", **_PLACE, "preparation_s": 600,
    "delivery_radius_m": 5000, "active": True, "version": 1,
}  # fmt: skip
_PRODUCT = {
    "id": "prd_1", "store_id": "sto_1", "name": "Rye bread", "price": _MONEY, "stock": 25, "active": True,
    "version": 1,
}  # fmt: skip
_DRIVER = {
    "id": "drv_3", "name": "Max", "zone_id": "zon_1", "status": "online", "state": "online", "capacity": 2,
    "location": _PLACE,
}  # fmt: skip

# By schema; pages are made from what they list.
_SINGLE: Mapping[str, Any] = {
    "Money": _MONEY,
    "User": _USER,
    "Tokens": _TOKENS,
    "ResetLink": {"token": f"rst_{'5f0c1d9e' * 8}", "expires_at": _AT},
    "Registered": {"user": _USER, **_TOKENS},
    "Keys": {"keys": [{
        "kty": "OKP", "crv": "Ed25519", "kid": "key-1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "use": "sig", "alg": "EdDSA",
    }]},
    "Zone": _ZONE,
    "Store": _STORE,
    "Product": _PRODUCT,
    "Order": _ORDER,
    "Event": {
        "version": 3, "type": "assigned", "at": _AT, "by": {"role": "driver", "id": "drv_3"}, "reason": None,
        "trace_id": TRACE,
    },
    "OrderChange": _CHANGE,
    "OrderStream": (frame("order", 3, _ORDER) + frame("change", 4, _CHANGE)).decode(),
    "OrderEvent": {"event": "order", "id": "3", "data": orjson.dumps(_ORDER).decode()},
    "ChangeEvent": {"event": "change", "id": "4", "data": orjson.dumps(_CHANGE).decode()},
    "StreamTicket": {"ticket": "stk_Zm9ydHktdHdvLWNoYXJhY3RlcnMtb2YtY2hhbmNl", "expires_in": 600},
    "Done": {"result": "won", "order_id": "ord_17", "status": "assigned", "version": 3},
    "Payment": {
        "id": "pay_5", "order_id": "ord_17", "method": "card", "status": "held",
        "amount": {"amount_minor": 900, "currency": "EUR"}, "refunded": {"amount_minor": 0, "currency": "EUR"},
        "stuck": None, "decline_code": None, "version": 2,
        "created_at": _AT, "updated_at": _AT,
    },
    "Driver": {**_DRIVER, "orders": ["ord_17"], "connected": True},
    "DriverRow": {**_DRIVER, "carried": 1},
    "Available": {"result": "now_online", "status": "online"},
    "Ticket": {"ticket": "tkt_dGlja2V0LW9mLW9uZS11c2U", "expires_in": 30},
    "Health": {"status": "ready", "components": {"postgres": "up", "redis": "up", "loop": "up"}},
}  # fmt: skip

# By model of a request's body. They are accepted by the sample mall.
BODIES: Mapping[str, Any] = {
    "Register": {"email": "ada@mall.example", "password": "correct horse battery", "name": "Ada"},
    "Login": {"email": "ada@mall.example", "password": "correct horse battery"},
    "Refresh": {"refresh_token": _TOKENS["refresh_token"]},
    "PasswordChange": {"old_password": "correct horse battery", "new_password": "staple correct horse"},
    "PasswordReset": {"token": f"rst_{'5f0c1d9e' * 8}", "new_password": "staple correct horse"},
    "NewPassword": {"new_password": "staple correct horse"},
    "PaymentBody": {"order_id": "ord_17", "method": "card", "token": "tok_success"},
    "RefundBody": {"amount": {"amount_minor": 300, "currency": "EUR"}, "reason": "one loaf was stale"},
    "SettlementBody": {"outcome": "voided", "reason": "the hold had expired"},
    "NewUser": {
        "email": "max@mall.example", "password": "correct horse battery", "name": "Max", "role": "driver",
        "zone_id": "zon_1", "capacity": 2,
    },
    "UserChange": {"name": "Max", "capacity": 3},
    "NewZone": {"name": "North wing", "mode": "waves", "wave_size": 3, "offer_ttl_s": 20},
    "ZoneChange": {"mode": "open"},
    "NewStore": {"zone_id": "zon_1", "name": "Bakery", **_PLACE, "preparation_s": 300},
    "StoreChange": {"preparation_s": 900},
    "NewProduct": {"store_id": "sto_1", "name": "Rye bread", "price": _MONEY, "stock": 25},
    "ProductChange": {"price": {"amount_minor": 500, "currency": "EUR"}, "stock": None},
    "OrderBody": {
        "items": [_LINE], "dropoff": {**_PLACE, "address": "Second floor, left"}, "payment": "cash",
        "notes": "Ring twice", "contact": {"phone": "+49 30 1234567"},
        "expected_total": {"amount_minor": 900, "currency": "EUR"},
    },
    "ReadyBody": {"ready_at": "2026-03-01T12:10:00Z"},
    "AcceptBody": {"offer_id": "ofr_17_1"},
    "DeclineBody": {"offer_id": "ofr_17_1", "reason": "too far"},
    "NoBody": {},
    "ReasonBody": {"reason": "changed my mind"},
    "NeededReasonBody": {"reason": "nobody at the door"},
    "AssignBody": {"driver_id": "drv_3"},
    "ReassignBody": {"driver_id": "drv_4", "reason": "phone is dead"},
    "ConclusionBody": {"outcome": "returned", "reason": "brought back to the counter"},
    "Availability": {"status": "online"},
    "Offline": {"status": "offline"},
    "Location": {**_PLACE, "cseq": 7, "accuracy_m": 12.5},
}  # fmt: skip

# Operations whose example says more than their schema's: by operation.
OF_OPERATIONS: Mapping[str, Any] = {
    "orders.ready_time": {**_SINGLE["Done"], "result": "ready_time_set", "status": "confirmed"},
    "orders.decline": {**_SINGLE["Done"], "result": "declined", "status": "confirmed"},
    "orders.pickup": {**_SINGLE["Done"], "result": "picked_up", "status": "picked_up"},
    "orders.delivery": {**_SINGLE["Done"], "result": "delivered", "status": "delivered"},
    "orders.failure": {**_SINGLE["Done"], "result": "failed", "status": "undeliverable"},
    "orders.cancel": {**_SINGLE["Done"], "result": "cancelled", "status": "cancelled"},
    "orders.assign": {**_SINGLE["Done"], "result": "assigned"},
    "drivers.take_offline": {"result": "now_offline", "status": "offline"},
    "orders.reassign": {**_SINGLE["Done"], "result": "reassigned"},
    "orders.conclude": {**_SINGLE["Done"], "result": "returned", "status": "undeliverable"},
    "orders.release": {**_SINGLE["Done"], "result": "released", "status": "confirmed"},
    "payments.refund": {
        **_SINGLE["Payment"],
        "status": "captured",
        "refunded": {"amount_minor": 300, "currency": "EUR"},
        "version": 5,
    },
    "payments.settle": {**_SINGLE["Payment"], "status": "voided", "version": 4},
    "users.create": {**_USER, "role": "driver", "driver_id": "drv_2", "zone_id": "zon_1", "capacity": 2},
    "health.liveness": {"status": "alive"},
    "health.startup": {"status": "started"},
}


def answer_example(name: str) -> Any:
    """The example of a schema.

    Raises:
        KeyError: there is none yet; write it above.
    """
    if name in _SINGLE:
        return _SINGLE[name]
    listed = SCHEMAS[name]["properties"]["items"]["items"]["$ref"].rpartition("/")[2]
    return {"items": [_SINGLE[listed]], "next": None}
