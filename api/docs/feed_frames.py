"""Schemas and examples of the frames that the server sends over the feed (JSON Schema 2020-12).

The app's frames have models in api/feed/frames.py; tests validate real traffic against both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from api import json_schema as a
from api.contract.problems import KINDS
from api.feed.frame_limits import FRAMES_PER_S
from api.feed.frames import FRAME_BYTES_MAX, ID_LENGTH_MAX
from api.feed.state import PING_S
from api.http.command_executor import GOOD
from dispatch.domain.ids import NUMBER_MAX

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_MS = a.WHOLE
_OFFER = {"type": "string", "maxLength": 40, "pattern": "^(ofr|rnd)_[1-9][0-9]*_[1-9][0-9]*$"}
_EPOCH = {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_.-]+$"}
# The `id` of a frame; null when it had no readable one.
_FRAME_ID = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": ID_LENGTH_MAX},
        {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
        {"type": "null"},
    ]
}
# All results of commands, in REST and over the feed.
RESULTS: tuple[str, ...] = tuple(sorted({*GOOD, *KINDS, "now_online", "now_offline"}))
_STORE = a.object_of({"id": a.identifier("sto"), "name": a.NAME, "lat": a.LAT, "lon": a.LON})
_DROPOFF = a.object_of({"lat": a.LAT, "lon": a.LON, "radius_m": a.RADIUS, "address": a.or_null(a.text(200))})
_FETCHED = a.object_of({"name": a.NAME, "quantity": a.whole(1, 99)})
_PICKUP = a.object_of({
    "store": {"$ref": "#/components/schemas/FeedStore"}, "number": a.NUMBER, "ready_at_ms": _MS,
    "items": a.list_of({"$ref": "#/components/schemas/FeedItem"}, 50),
})  # fmt: skip
_MONEY = a.object_of({"amount_minor": a.WHOLE, "currency": a.text(3, "^[A-Z]{3}$")})
_ORDER: dict[str, Any] = {
    "order_id": a.identifier("ord"), "number": a.NUMBER, "status": a.STATUS, "version": a.WHOLE,
    "store": {"$ref": "#/components/schemas/FeedStore"},
    "pickups": a.list_of({"$ref": "#/components/schemas/FeedPickup"}, 50),
    "dropoff": {"$ref": "#/components/schemas/FeedDropoff"},
    "distance_m": a.WHOLE, "ready_at_ms": _MS, "items": a.whole(1, 5000), "payment": a.PAYMENT,
    "collect": a.or_null({"$ref": "#/components/schemas/FeedMoney"}),
    "pay": a.or_null({"$ref": "#/components/schemas/FeedMoney"}),
    "notes": a.or_null(a.TEXT), "contact": a.or_null({"$ref": "#/components/schemas/FeedContact"}),
    "trip": {"$ref": "#/components/schemas/FeedTrip"}, "eta_ms": _MS,
    "promised_at_ms": _MS, "deliver_at_ms": _MS, "tip": {"$ref": "#/components/schemas/FeedMoney"},
    "pin": {"const": True, "type": "boolean"}, "returning": {"const": True, "type": "boolean"},
}  # fmt: skip
_SOMETIMES = ("trip", "eta_ms", "promised_at_ms", "deliver_at_ms", "tip", "pin", "returning")
_TRIP_ID = {"type": "string", "maxLength": 40, "pattern": "^trp_[1-9][0-9]*_[1-9][0-9]*$"}
_TRIP = a.object_of(
    {
        "trip_id": _TRIP_ID, "orders": a.list_of(a.identifier("ord"), 20),
        "pay": {"$ref": "#/components/schemas/FeedMoney"},
    },
    ("pay",),
)  # fmt: skip
_OFFERED = {"offer_id": _OFFER, "expires_at_ms": _MS}
_BECAUSE = {"reason": a.or_null(a.TEXT)}

# Types of feed entries, and the contents of their data.
ENTRIES: Mapping[str, str] = {
    "offer": "OfferedOrder",
    "offer.ready_time": "OfferedOrder",
    "order.assigned": "FeedOrder",
    "order.picked_up": "FeedOrder",
    "order.returning": "EndedOrder",
    "order.delivered": "FeedOrder",
    "order.undeliverable": "FeedOrder",
    "order.cancelled": "EndedOrder",
    "order.released": "EndedOrder",
    "order.ready_time": "FeedOrder",
}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _frame(t: str, members: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return a.object_of({"t": {"const": t, "type": "string"}, **members}, optional)


def _entry(kind: str) -> dict[str, Any]:
    return _frame(
        "event",
        {
            "seq": a.whole(1, NUMBER_MAX),
            "type": {"const": kind, "type": "string"},
            "at_ms": _MS,
            "trace": a.TRACE,
            "data": _ref(ENTRIES[kind]),
        },
    )


def _reply(members: dict[str, Any]) -> dict[str, Any]:
    return _frame("reply", {"id": _FRAME_ID, "ok": a.TRUTH, "trace_id": a.TRACE, **members})


_RESULT = a.object_of(
    {
        "order_id": a.identifier("ord"), "result": a.one_of(*RESULTS), "status": a.STATUS, "version": a.WHOLE,
        "temporary": a.TRUTH,
        "not_processed": a.TRUTH, "retry_after_ms": _MS,
    },
    ("status", "version", "temporary", "not_processed", "retry_after_ms"),
)  # fmt: skip
_STANDING = {"type": "string", "enum": [*a.STATUS["enum"], *a.ONLINE["enum"]]}
_SNAPSHOT = a.object_of({
    "status": a.ONLINE, "capacity": a.whole(1, 20), "orders": a.list_of(_ref("FeedOrder"), 20),
    "offers": a.list_of(_ref("OfferedOrder"), 200),
})  # fmt: skip
_LIMITS = a.object_of({"frame_bytes": a.whole(1, 1 << 20), "frames_per_s": a.whole(1, 10_000)})


def _entry_name(kind: str) -> str:
    return "".join(part.title() for part in re.split("[._]", kind)) + "Entry"


def _titled(schemas: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add each schema's name as its title, which code generators use as the name of the type."""
    return {name: {"title": name, **schema} for name, schema in schemas.items()}


# Parts of frames, by name.
PARTS: Mapping[str, dict[str, Any]] = _titled({
    "FeedStore": _STORE,
    "FeedDropoff": _DROPOFF,
    "FeedItem": _FETCHED,
    "FeedPickup": _PICKUP,
    "FeedMoney": _MONEY,
    "FeedContact": a.CONTACT,
    "FeedTrip": _TRIP,
    "FeedOrder": a.object_of(_ORDER, _SOMETIMES),
    "OfferedOrder": a.object_of({**_ORDER, **_OFFERED}, _SOMETIMES),
    "EndedOrder": a.object_of({**_ORDER, **_BECAUSE}, _SOMETIMES),
    "BoardOrder": a.object_of({**_ORDER, "offer_id": _OFFER}, _SOMETIMES),
    "OrderResult": _RESULT,
    "Snapshot": _SNAPSHOT,
    "Limits": _LIMITS,
    "ResultsReply": _reply({"results": a.list_of(_ref("OrderResult"), 20)}),
    "CommandReply": _reply({"result": a.one_of(*RESULTS), "status": _STANDING, "version": a.WHOLE}),
    "PlainReply": _reply({}),
    **{_entry_name(kind): _entry(kind) for kind in ENTRIES},
})  # fmt: skip

# Server messages by name. `t`, and the topic of a state, identify a message.
SAID: Mapping[str, dict[str, Any]] = {
    "welcome": _frame("welcome", {
        "session": {"type": "string", "maxLength": 40, "pattern": "^fed_[A-Za-z0-9_-]+$"}, "epoch": _EPOCH,
        "seq": a.WHOLE, "resumed": a.TRUTH, "zone_id": a.identifier("zon"), "ping_s": a.SECONDS, "server_time_ms": _MS,
        "limits": _ref("Limits"), "snapshot": _ref("Snapshot"),
    }, ("snapshot",)),
    "event": {"oneOf": [_ref(_entry_name(kind)) for kind in ENTRIES]},
    "reply": {"oneOf": [_ref("ResultsReply"), _ref("CommandReply"), _ref("PlainReply")]},
    "error": _frame("error", {
        "id": _FRAME_ID, "code": {"type": "string", "enum": ["bad_frame", *sorted(KINDS)]}, "temporary": a.TRUTH,
        "trace_id": a.TRACE, "detail": a.TEXT, "not_processed": a.TRUTH, "retry_after_ms": _MS,
    }, ("detail", "not_processed", "retry_after_ms")),
    "pong": _frame("pong", {"id": _FRAME_ID}),
    "offer.revoked": _frame("offer.revoked", {
        "offer_id": _OFFER, "order_id": a.identifier("ord"),
        "why": a.one_of("taken", "cancelled", "expired", "mode_changed", "withdrawn"),
    }),
    "state.board": _frame("state", {
        "topic": {"const": "board", "type": "string"},
        "data": a.object_of({
            "zone_id": a.identifier("zon"), "total": a.WHOLE,
            "orders": a.list_of(_ref("BoardOrder"), 50),
        }),
    }),
    "state.zone": _frame("state", {
        "topic": {"const": "zone", "type": "string"}, "data": a.object_of({"zone_id": a.identifier("zon")}),
    }),
    "state.availability": _frame("state", {
        "topic": {"const": "availability", "type": "string"},
        "data": a.object_of({"status": a.one_of("online", "offline"),
                             "state": a.one_of("online", "offline", "unreachable")}),
    }),
    "state.queue": _frame("state", {
        "topic": {"const": "queue", "type": "string"}, "data": a.object_of({"place": a.or_null(a.whole(1, 500))}),
    }),
    "ping": _frame("ping", {}),
    "auth.expiring": _frame("auth.expiring", {"in_s": a.SECONDS}),
    "drain": _frame("drain", {"reconnect_in_ms": _MS, "deadline_ms": _MS}),
}  # fmt: skip

_STOP = {"id": "sto_1", "name": "Bakery", "lat": 52.52, "lon": 13.405}
_READY_MS = 1790000600000
_SEEN = {
    "order_id": "ord_17", "number": 4, "status": "confirmed", "version": 2, "store": _STOP,
    "pickups": [{
        "store": _STOP, "number": 4, "ready_at_ms": _READY_MS, "items": [{"name": "Rye bread", "quantity": 3}],
    }],
    "dropoff": {"lat": 52.52, "lon": 13.41, "radius_m": 400, "address": None}, "distance_m": 338,
    "ready_at_ms": _READY_MS, "items": 3, "payment": "cash", "collect": {"amount_minor": 1350, "currency": "EUR"},
    "pay": {"amount_minor": 350, "currency": "EUR"}, "notes": None, "contact": None,
}  # fmt: skip
_LIVE = {"offer_id": "ofr_17_1", "expires_at_ms": 1790000020000}

SAID_EXAMPLES: Mapping[str, dict[str, Any]] = {
    "welcome": {
        "t": "welcome", "session": "fed_3f2a77c1d0e94b5a", "epoch": "3f2a", "seq": 41, "resumed": False,
        "zone_id": "zon_1", "ping_s": int(PING_S), "server_time_ms": 1790000000000,
        "limits": {"frame_bytes": FRAME_BYTES_MAX, "frames_per_s": int(FRAMES_PER_S)},
        "snapshot": {"status": "online", "capacity": 2, "orders": [], "offers": [{**_SEEN, **_LIVE}]},
    },
    "event": {
        "t": "event", "seq": 42, "type": "offer", "at_ms": 1790000000000, "trace": _TRACE,
        "data": {**_SEEN, **_LIVE},
    },
    "reply": {
        "t": "reply", "id": 7, "ok": True, "trace_id": _TRACE,
        "results": [{"order_id": "ord_17", "result": "won", "status": "assigned", "version": 3}],
    },
    "error": {
        "t": "error", "id": 8, "code": "unavailable", "temporary": True, "trace_id": _TRACE, "not_processed": True,
    },
    "pong": {"t": "pong", "id": None},
    "offer.revoked": {"t": "offer.revoked", "offer_id": "ofr_17_1", "order_id": "ord_17", "why": "taken"},
    "state.board": {
        "t": "state", "topic": "board",
        "data": {"zone_id": "zon_1", "total": 1, "orders": [{**_SEEN, "offer_id": "rnd_17_1"}]},
    },
    "state.zone": {"t": "state", "topic": "zone", "data": {"zone_id": "zon_2"}},
    "state.availability": {
        "t": "state", "topic": "availability", "data": {"status": "online", "state": "unreachable"},
    },
    "state.queue": {"t": "state", "topic": "queue", "data": {"place": 3}},
    "ping": {"t": "ping"},
    "auth.expiring": {"t": "auth.expiring", "in_s": 60},
    "drain": {"t": "drain", "reconnect_in_ms": 1200, "deadline_ms": 8000},
}  # fmt: skip

_COMMAND = {"id": 7, "key": "5f0c1d9e-7b3a-4f0e-9a61-2d8f7f1f5a10"}
# Examples of the app's frames, without `t`.
HEARD_EXAMPLES: Mapping[str, dict[str, Any]] = {
    "hello": {"resume": {"epoch": "3f2a", "seq": 41}, "device": "Pixel 9", "app_version": "1.4"},
    "ack": {"seq": 42},
    "ping": {"id": 3},
    "pong": {},
    "offer.seen": {"offer_id": "ofr_17_1"},
    "offer.accept": {**_COMMAND, "orders": ["ord_17"], "offer_id": "ofr_17_1"},
    "offer.decline": {**_COMMAND, "orders": ["ord_17"], "offer_id": "ofr_17_1", "reason": "too far"},
    "order.pickup": {**_COMMAND, "order_id": "ord_17"},
    "order.delivery": {**_COMMAND, "order_id": "ord_17"},
    "order.failure": {**_COMMAND, "order_id": "ord_17", "reason": "nobody at the door"},
    "order.return": {**_COMMAND, "order_id": "ord_17"},
    "availability": {**_COMMAND, "status": "online"},
    "loc": {"cseq": 9, "lat": 52.52, "lon": 13.405, "accuracy_m": 5.0, "speed_mps": 3.5},
    "auth.refresh": {"id": 9, "token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMyJ9.c2lnbmF0dXJl"},
}


def message_of(frame: Mapping[str, Any]) -> str:
    """The message name of a server frame."""
    kind = str(frame["t"])
    return f"{kind}.{frame['topic']}" if kind == "state" else kind
