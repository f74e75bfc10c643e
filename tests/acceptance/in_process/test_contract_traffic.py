"""What goes over the wire on a day at the mall is what the documents promise: each answer, each frame, exactly."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import orjson
import pytest
from jsonschema import Draft202012Validator
from multidict import CIMultiDict

from api.docs.asyncapi import make_asyncapi
from api.docs.feed_frames import ENTRIES, SAID, message_of
from api.docs.openapi import is_elsewhere, make_document
from api.feed.frames import FRAMES
from api.feed.session import Session
from api.feed.state import PING_S
from api.http.operation import Operation
from api.routes import ROUTES
from dispatch.webhooks.store import QueryStore
from dispatch.webhooks.values import (
    Answer,
    Attempt,
    DeadLetter,
    Filters,
    LiveProgress,
    Settlement,
    Trouble,
)
from loadtests.kit.client import Mall, Phone
from tests.acceptance.in_process.in_process_server import InProcessServer
from tests.acceptance.sample_mall import DROPOFF
from tests.support.waiting import until

DOCUMENT, FEED = make_document(ROUTES), make_asyncapi()
LISTED = [route for route in ROUTES if not is_elsewhere(route)]
# Its answer is a stream; Schemathesis reads its events.
STREAMS = {route.operation for route in LISTED if route.streams}
_keys = (f"traffic-key-{number:08d}" for number in itertools.count())


def conforms(value: Any, schema: Any, document: Any) -> None:
    checked = {"$ref": "#/schema", "schema": schema, "components": document["components"]}
    Draft202012Validator(checked, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


class Seen(NamedTuple):
    """One answer."""

    status: int
    headers: CIMultiDict[str]
    body: Any


@dataclass
class Day:
    """A mall with everybody in it; keeps what was answered, by operation, and what went over feeds, by message."""

    server: InProcessServer
    answers: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    # The event in the path of an operation on a dead letter.
    event: str = ""
    frames: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    async def do(self, name: str, operation: str, of: str = "", body: Any = None, query: str = "") -> Any:
        """Call an operation as somebody; it must succeed."""
        route = next(r for r in ROUTES if r.operation == operation)
        path = re.sub("{.*?}", of, route.path.replace("{event}", self.event)) + query
        headers = {"If-Match": "*", "Idempotency-Key": next(_keys), "Content-Type": "application/json"}
        if name:
            scheme = "Share" if route.shared else "Bearer"
            headers["Authorization"] = f"{scheme} {self.server.tokens[name]}"
        data = None if body is None else orjson.dumps(body)
        url = self.server.process.url + path
        async with self.server.http.request(route.method, url, data=data, headers=headers) as response:
            raw, status = await response.read(), response.status
            answer, headers = orjson.loads(raw) if raw else {}, dict(response.headers)
        assert status < 300, (operation, answer)
        self.answers[operation].append(Seen(status, CIMultiDict(headers), answer))
        return answer

    async def zone(self, mode: str) -> tuple[str, str]:
        """A zone and a product in it."""
        area = [{"lat": 0, "lon": 0}, {"lat": 0, "lon": 5}, {"lat": 5, "lon": 5}]
        body = {"name": "Zone", "mode": mode, "wave_size": 2, "offer_ttl_s": 60, "area": area}
        body["queue_radius_m"] = 500
        zone = (await self.do("admin", "zones.create", body=body))["id"]
        store = {"zone_id": zone, "name": "Store", "lat": 52.52, "lon": 13.4}
        store_id = (await self.do("admin", "stores.create", body=store))["id"]
        price = {"amount_minor": 5, "currency": "EUR"}
        body = {"store_id": store_id, "name": "Thing", "price": price, "stock": None}
        return zone, (await self.do("admin", "products.create", body=body))["id"]

    async def order(self, product: str) -> str:
        """A new order of the customer."""
        body = {"items": [{"product_id": product, "quantity": 2}], "dropoff": DROPOFF, "payment": "cash"}
        return str((await self.do("customer", "orders.create", body={**body, "notes": "Ring"}))["id"])

    @asynccontextmanager
    async def riding(self, name: str) -> AsyncIterator[Rider]:
        """A driver's phone whose frames are kept, both ways."""
        rider = Rider(self, name)
        async with rider.phone.connected():
            self.frames["server.welcome"].append(rider.phone.welcome)
            yield rider


class Rider:
    """A driver with a phone."""

    def __init__(self, day: Day, name: str) -> None:
        self.day = day
        self.phone = Phone(Mall(day.server.http, day.server.process.url, day.server.tokens[name]))
        self.heard: list[Any] = []
        self.phone.on_frame = self._hear

    def _hear(self, frame: Any) -> None:
        self.heard.append(frame)
        self.day.frames[f"server.{message_of(frame)}"].append(frame)

    async def say(self, t: str, **members: Any) -> None:
        """A frame without an answer."""
        frame = {"t": t, **members}
        self.day.frames[f"app.{t}"].append(frame)
        await self.phone.send(frame)

    async def ask(self, t: str, *, keyed: bool = True, **members: Any) -> Any:
        """A frame with one."""
        frame = {"t": t, **({"key": next(_keys)} if keyed else {}), **members}
        self.day.frames[f"app.{t}"].append({**frame, "id": 1})
        return await self.phone.ask(frame)

    async def frame(self, message: str, **members: Any) -> Any:
        """The first frame of this kind with these members, heard already or to come."""

        def fitting() -> list[Any]:
            named = (f for f in self.heard if message_of(f) == message)
            return [f for f in named if members.items() <= {**f, **(f.get("data") or {})}.items()]

        await until(lambda: bool(fitting()))
        return fitting()[0]


@pytest.fixture(scope="module")
async def day(server: InProcessServer) -> Day:
    return Day(server)


# -- REST -------------------------------------------------------------------------------------------------


async def _accounts(day: Day) -> None:
    body = {"email": "day@mall.example", "password": "long enough", "name": "Day"}
    await day.do("", "auth.register", body=body)
    tokens = await day.do("", "auth.login", body={k: v for k, v in body.items() if k != "name"})
    tokens = await day.do("", "auth.refresh", body={"refresh_token": tokens["refresh_token"]})
    day.server.tokens["leaver"] = tokens["access_token"]
    await day.do("leaver", "auth.me")
    await day.do("leaver", "auth.profile")
    quiet = {"begin": "22:00", "end": "07:00"}
    profile = {"phone": "+4930123456", "locale": "de", "time_zone": "Europe/Berlin", "quiet_hours": quiet}
    await day.do("leaver", "auth.change_profile", body=profile)
    await day.do("leaver", "auth.notices")
    choice = {"type": "assigned", "channel": "sms", "wanted": False}
    await day.do("leaver", "auth.choose_notices", body={"choices": [choice]})
    await day.do("", "auth.request_reset", body={"email": body["email"]})
    change = {"old_password": body["password"], "new_password": "longer than before"}
    await day.do("leaver", "auth.password", body=change)
    await day.do("leaver", "auth.logout")
    await day.do("", "auth.jwks")
    async with asyncio.timeout(20):  # on a busy machine an instance is not ready now and then
        while (await day.server.ask("", "GET", "/health/readiness")).status != 200:
            continue
    for probe in ("liveness", "readiness", "startup"):
        await day.do("", f"health.{probe}")


async def _catalogue(day: Day, zone: str, product: str) -> None:
    made = {
        "email": "new@mall.example",
        "password": "long enough",
        "name": "New",
        "role": "driver",
        "zone_id": zone,
    }
    user = (await day.do("admin", "users.create", body=made))["id"]
    await day.do("admin", "users.update", user, {"name": "Newer", "capacity": 2})
    await day.do("admin", "users.get", user)
    await day.do("admin", "users.list", query="?role=driver&limit=2")
    await day.do("admin", "users.profile", user)
    await day.do("admin", "users.change_profile", user, {"locale": "de"})
    await day.do("admin", "users.notices", user)
    await day.do("admin", "users.choose_notices", user, {"choices": []})
    gone = {"email": "gone@mall.example", "password": "long enough", "name": "Gone", "role": "customer"}
    gone_id = (await day.do("admin", "users.create", body=gone))["id"]
    await day.do("admin", "users.password", gone_id, {"new_password": "longer than before"})
    token = (await day.do("admin", "users.reset", gone_id))["token"]
    await day.do("", "auth.reset", body={"token": token, "new_password": "longest of them all"})
    await day.do("admin", "users.delete", gone_id)
    await day.do("customer", "zones.list", query="?limit=1")
    await day.do("admin", "zones.update", zone, {"name": "Other"})
    await day.do("customer", "zones.get", zone)
    store = (await day.do("customer", "products.get", product))["store_id"]
    await day.do("admin", "stores.update", store, {"preparation_s": 60})
    await day.do("customer", "stores.get", store)
    contact = {"email": "shop@mall.example", "phone": None, "locale": "de"}
    await day.do("admin", "stores.set_contact", store, contact)
    await day.do("admin", "stores.contact", store)
    await day.do("customer", "stores.list", query="?limit=1")
    await day.do("customer", "stores.list", query="?near=52.52,13.4&radius_m=500")
    await day.do("customer", "stores.products", store)
    await day.do("customer", "products.list", query="?limit=1")
    await day.do("admin", "products.update", product, {"stock": 500})


async def _orders(day: Day, product: str, driver: str) -> None:
    done = await day.order(product)
    await day.do("admin", "orders.ready_time", done, {"ready_at": datetime.now(UTC).isoformat()})
    await day.do("driver-a", "orders.accept", done, {})
    await day.do("driver-a", "drivers.my_orders")
    await day.do("driver-a", "drivers.me")
    await day.do("driver-a", "orders.pickup", done)
    await day.do("driver-a", "orders.delivery", done)
    failed = await day.order(product)
    await day.do("admin", "orders.assign", failed, {"driver_id": driver})
    await day.do("admin", "orders.release", failed, {"reason": "stuck"})
    await day.do("driver-a", "orders.accept", failed)
    await day.do("driver-a", "orders.failure", failed, {"reason": "nobody there"})
    brought = await day.order(product)
    for what, body in (
        ("orders.accept", None), ("orders.pickup", None),
        ("orders.failure", {"reason": "nobody there", "returning": True}), ("orders.return", None),
    ):  # fmt: skip
        await day.do("driver-a", what, brought, body)
    returned = await day.order(product)
    await day.do("admin", "orders.reassign", returned, {"driver_id": driver, "reason": "dead phone"})
    await day.do("admin", "orders.conclude", returned, {"outcome": "returned", "reason": "at the counter"})
    await day.do("admin", "drivers.take_offline", driver, {"status": "offline"})
    await day.do("driver-a", "drivers.availability", body={"status": "online"})
    cancelled = await day.order(product)
    day.server.tokens["follower"] = (await day.do("customer", "orders.share", cancelled))["secret"]
    await day.do("follower", "orders.shared")
    await day.do("customer", "orders.cancel", cancelled)
    await day.do("follower", "orders.shared")
    await day.do("customer", "orders.unshare", cancelled)
    await day.do("customer", "orders.track_ticket", done)
    for name in ("customer", "admin"):
        for order in (done, failed, cancelled):
            await day.do(name, "orders.get", order)
            await day.do(name, "orders.events", order)
            if name == "admin":
                await day.do(name, "orders.decisions", order, query="?replay=true")
        await day.do(name, "orders.list", query="?limit=2")


async def _refuse_an_event(day: Day, number: int) -> None:
    """What a relay and a sender do: an event comes into the log, and the endpoint refuses it for good."""
    services = day.server.services
    store = QueryStore(services.database, services.clock)
    end = (await store.read(Filters(), 0, None, 1)).log_end
    body = {
        "type": "order.created",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "sequence": end + 1,
        "data": {"version": 1},
    }
    event = {
        "type": "order.created", "topic": "order", "ref": 1, "version": 1, "order_id": 1, "zone_id": 1,
        "store_ids": [1], "body": orjson.dumps(body).decode(), "trace": "f" * 32, "at_ms": 1_772_000_000_000,
    }  # fmt: skip
    assert await services.database.value("relay_outbox", end, {"ids": [], "events": [event], "jobs": []})
    [claim] = [one for one in await store.claim(50, 50, 30.0) if one.endpoint == number]
    attempt = Attempt(f"evt_{end + 1}", end + 1, None, services.clock.monotonic(), Answer(422))
    live = LiveProgress(end + 1, Trouble())
    dead = (DeadLetter(end + 1, 422, 5),)
    item = Settlement(number, claim.number, 1, claim.version, claim.wakes, (attempt,), dead, live)
    assert await store.settle([item], 30.0) == {number}
    day.event = f"evt_{end + 1}"


async def _webhooks(day: Day) -> None:
    wish = {"url": "https://hooks.example/in", "types": ["order.created"], "description": "the till"}
    hook = (await day.do("admin", "webhooks.create", body=wish))["id"]
    await day.do("admin", "webhooks.update", hook, {"types": [], "on_refused": "stop"})
    await day.do("admin", "webhooks.get", hook)
    await day.do("admin", "webhooks.list", query="?disabled=false&limit=2")
    await day.do("admin", "webhooks.rotate", hook)
    await day.do("admin", "webhooks.test", hook)
    await _refuse_an_event(day, int(hook.removeprefix("whk_")))
    await day.do("admin", "webhooks.enable", hook, {"from": "now"})
    await day.do("admin", "webhooks.replay", hook, {"first": "evt_1"})
    await day.do("admin", "webhooks.attempts", hook, query="?failed=true")
    await day.do("admin", "webhooks.dead_letters", hook)
    await day.do("admin", "webhooks.retry", hook)
    await day.do("admin", "events.list", query="?after=evt_0&types=order.created,stock.out&limit=2")
    await day.do("admin", "webhooks.delete", hook)


async def _jobs(day: Day) -> None:
    database = day.server.database
    await database.execute(
        "INSERT INTO job_schedules (name, task, payload, every_s, next_at)"
        " VALUES ('of_a_day', 'of_a_day', '{}', 600, now() + interval '1 day') ON CONFLICT DO NOTHING"
    )
    made = [
        await database.fetchval(
            "INSERT INTO jobs (task, payload, trace, due_at, died_at, error)"
            " VALUES ('of_a_day', '{\"order_id\": 1}', $1, NULL, now(), 'no') RETURNING id",
            "f" * 32,
        )
        for _ in range(3)
    ]
    await day.do("admin", "jobs.list", query="?state=dead&task=of_a_day&limit=2")
    await day.do("admin", "jobs.get", f"job_{made[0]}")
    await day.do("admin", "jobs.retry", f"job_{made[0]}")
    await day.do("admin", "jobs.discard", f"job_{made[1]}")
    wish = {"action": "discard", "filter": {"task": "of_a_day", "state": "dead"}}
    await day.do("admin", "jobs.act", body={**wish, "dry_run": True})
    await day.do("admin", "jobs.act", body={**wish, "expected_count": 1})
    await day.do("admin", "jobs.actions")
    await day.do("admin", "jobs.pause", "of_a_day", {"reason": "a look"})
    await day.do("admin", "jobs.tasks")
    await day.do("admin", "jobs.resume", "of_a_day")
    await day.do("admin", "jobs.schedules")
    await day.do("admin", "jobs.change_schedule", "of_a_day", {"paused": True})
    await day.do("admin", "jobs.run_schedule", "of_a_day")


async def _reports(day: Day) -> None:
    for zone in await day.server.database.fetch("SELECT id FROM zones"):
        await day.server.database.execute(
            "SELECT refresh_day($1, (now() AT TIME ZONE 'UTC')::date)", zone["id"]
        )
    assert (await day.do("admin", "reports.daily", query="?limit=2"))["items"]
    await day.do("admin", "reports.cash")


async def _payments(day: Day, product: str) -> None:
    payment = await _delivered(day, product, "tok_fine_1234", "captured")
    part = {"amount": {"amount_minor": 1, "currency": "EUR"}, "reason": "stale"}
    await day.do("admin", "payments.refund", payment, part)
    await day.do("admin", "payments.refund", payment)
    stuck = await _delivered(day, product, "tok_expired", "stuck")
    await day.do("admin", "payments.settle", stuck, {"outcome": "voided", "reason": "as the books say"})
    for name in ("customer", "admin"):
        await day.do(name, "payments.list", query="?limit=2")


async def _delivered(day: Day, product: str, token: str, until: str) -> str:
    """The payment of an order that was delivered, once it is captured, or stuck."""
    body = {"items": [{"product_id": product, "quantity": 1}], "dropoff": DROPOFF, "payment": "card"}
    order = (await day.do("customer", "orders.create", body=body))["id"]
    card = {"order_id": order, "method": "card", "token": token}
    payment = str((await day.do("customer", "payments.create", body=card))["id"])
    for what in ("orders.accept", "orders.pickup", "orders.delivery"):
        await day.do("driver-a", what, order)
    async with asyncio.timeout(20):
        while True:
            seen = await day.do("customer", "payments.get", payment)
            if until == ("stuck" if seen["stuck"] else seen["status"]):
                return payment


async def _driver(day: Day, name: str, zone: str) -> str:
    """A driver of this zone who is online."""
    made = {"email": f"{name}@mall.example", "password": "long enough", "name": name, "role": "driver"}
    user = (await day.do("admin", "users.create", body={**made, "zone_id": zone, "capacity": 5}))["id"]
    await day.server.enter(name, made["email"], made["password"])
    await day.do(name, "drivers.availability", body={"status": "online"})
    await day.do(name, "drivers.location", body={"lat": 52.52, "lon": 13.4, "cseq": 1})
    return str(user).replace("usr_", "drv_")


async def _offered(day: Day) -> None:
    """An offer in a zone of waves, declined."""
    zone, product = await day.zone("waves")
    await _driver(day, "driver-w", zone)
    order = await day.order(product)
    async with day.riding("driver-w") as rider:
        await until(lambda: bool(_offers(rider)))
        await day.do("admin", "orders.get", order)
    await day.do("driver-w", "orders.decline", order, {"reason": "far"})


def _offers(rider: Rider) -> list[Any]:
    shown = rider.phone.welcome.get("snapshot", {}).get("offers", [])
    return [*shown, *(f for f in rider.heard if f.get("type") == "offer")]


async def test_every_operation_answers_exactly_as_its_document_says(day: Day) -> None:
    zone, product = await day.zone("open")
    await _accounts(day)
    await _catalogue(day, zone, product)
    await _orders(day, product, await _driver(day, "driver-a", zone))
    await _payments(day, product)
    await _offered(day)
    await _webhooks(day)
    await _jobs(day)
    await _reports(day)
    await day.do("admin", "drivers.list", query=f"?zone_id={zone}")
    await day.do("driver-a", "feed.ticket")
    await day.do("admin", "console.ticket")
    store = (await day.do("customer", "products.get", product))["store_id"]
    await day.do("admin", "products.delete", product)
    await day.do("admin", "stores.delete", store)
    assert day.answers.keys() | STREAMS == {route.operation for route in LISTED}
    for route in LISTED:
        for seen in day.answers[route.operation]:
            _as_promised(route, seen)


def _as_promised(route: Operation, seen: Seen) -> None:
    promised = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    assert seen.status == route.status, route.operation
    response = promised[str(seen.status)]
    for name, header in response["headers"].items():
        described = DOCUMENT["components"]["headers"][name]
        assert name in seen.headers or not described.get("required"), (route.operation, name, header)
        if name in seen.headers and described["schema"]["type"] == "string":
            conforms(seen.headers[name], described["schema"], DOCUMENT)
    for name in ("Location", "ETag"):
        always = name in response["headers"] and name != "Idempotent-Replayed"
        assert not always or name in seen.headers, (route.operation, name)
    if "content" not in response:
        assert seen.body == {}
        return
    [(media, content)] = response["content"].items()
    assert seen.headers["Content-Type"] == media
    conforms(seen.body, content["schema"], DOCUMENT)


# -- the feed ---------------------------------------------------------------------------------------------


async def _open_day(day: Day) -> None:
    """A zone with a board: everything that a driver can say, and most of what the server does."""
    zone, product = await day.zone("open")
    other, _ = await day.zone("open")
    user = (await _driver(day, "driver-f", zone)).replace("drv_", "usr_")
    await _driver(day, "driver-g", zone)
    async with day.riding("driver-f") as rider, day.riding("driver-g") as rival:
        await rider.say("loc", cseq=2, lat=52.52, lon=13.4, accuracy_m=5.0)
        await rider.frame("state.queue")
        await rider.say("ping", id=5)
        await rider.frame("pong", id=5)
        orders = [await day.order(product) for _ in range(3)]
        await rider.frame("state.board")
        await rider.ask("offer.accept", orders=orders[:2])
        await rival.ask("offer.accept", orders=orders[:1])
        await rival.ask("offer.accept", orders=["ord_999999"])
        await day.do("admin", "orders.ready_time", orders[0], {"ready_at": datetime.now(UTC).isoformat()})
        await rider.frame("event", type="order.ready_time")
        await rider.say("ack", seq=rider.phone.position.seq)
        await rider.ask("order.pickup", order_id=orders[0])
        await rider.ask("order.delivery", order_id=orders[0])
        await rider.ask("order.delivery", order_id=orders[0])
        await rider.ask("order.pickup", order_id="ord_999999")
        await rider.ask("order.pickup", order_id=orders[1])
        await rider.ask("order.failure", order_id=orders[1], reason="nobody there", returning=True)
        await rider.frame("event", type="order.returning")
        await rider.ask("order.return", order_id=orders[1])
        await rider.ask("offer.accept", orders=[orders[2]])
        await day.do("admin", "orders.release", orders[2], {"reason": "stuck"})
        await rider.frame("event", type="order.released")
        await rival.ask("offer.accept", orders=[orders[2]])
        await day.do("customer", "orders.cancel", orders[2], {"reason": "too late"})
        await rival.frame("event", type="order.cancelled")
        await day.do("admin", "drivers.take_offline", user.replace("usr_", "drv_"), {"status": "offline"})
        await rider.frame("state.availability")
        await rider.ask("availability", status="online")
        await rider.ask("auth.refresh", keyed=False, token=day.server.tokens["driver-f"])
        await rider.ask("auth.refresh", keyed=False, token="x" * 30)
        await rider.phone.send({"t": "nonsense", "id": "a"})
        await rider.frame("error", id="a")
        await day.do("admin", "users.update", user, {"zone_id": other})
        await rider.frame("state.zone")
    resumed = Rider(day, "driver-f")
    resumed.phone.position.epoch, resumed.phone.position.seq = (
        rider.phone.position.epoch,
        (rider.phone.position.seq or 0) - 1,
    )
    async with resumed.phone.connected():
        day.frames["server.welcome"].append(resumed.phone.welcome)
        hello = {
            "t": "hello",
            "resume": {"epoch": rider.phone.position.epoch, "seq": rider.phone.position.seq},
        }
        day.frames["app.hello"].append(hello)
        assert resumed.phone.welcome["resumed"]
        await resumed.frame("event")


async def _waves_day(day: Day) -> None:
    """A zone of waves: offers, and what becomes of those that another driver has taken."""
    zone, product = await day.zone("waves")
    for name in ("driver-x", "driver-y"):
        await _driver(day, name, zone)
    async with day.riding("driver-x") as first, day.riding("driver-y") as second:
        order = await day.order(product)
        offer = await first.frame("event", type="offer")
        await second.frame("event", type="offer")
        offer_id = offer["data"]["offer_id"]
        await first.say("offer.seen", offer_id=offer_id)
        await day.do("admin", "orders.ready_time", order, {"ready_at": datetime.now(UTC).isoformat()})
        await first.frame("event", type="offer.ready_time")
        await first.ask("offer.accept", orders=[order], offer_id=offer_id)
        await second.frame("offer.revoked", order_id=order)
        await day.order(product)
        await until(lambda: len(_offers(second)) > 1)
        await second.ask("offer.decline", orders=[_offers(second)[1]["data"]["order_id"]], reason="far")


async def _heartbeats(day: Day) -> None:
    """What comes by the clock, without waiting for it."""
    hub = day.server.services.hub
    async with day.riding("driver-f") as rider:
        [found] = [s for s in hub.sessions.values() if s.principal.number == _number(day, "driver-f")]
        session = cast(Session, found)
        session.heartbeat(session.state.heard_at + PING_S)
        await rider.frame("ping")
        await rider.say("pong")
        session.state.renew(day.server.services.clock.steady() + 30)
        session.heartbeat(session.state.heard_at)
        await rider.frame("auth.expiring")
        await hub.drain(0.01)
        await rider.frame("drain")
        await until(lambda: rider.phone.closed)
        assert rider.phone.close_code == 4200


def _number(day: Day, name: str) -> int:
    return day.server.services.tokens.verify(day.server.tokens[name]).number


async def test_every_frame_is_exactly_as_its_document_says(day: Day) -> None:
    await _open_day(day)
    await _waves_day(day)
    await _heartbeats(day)
    messages = FEED["components"]["messages"]
    for name, frames in day.frames.items():
        for frame in frames:
            conforms(orjson.loads(json.dumps(frame)), messages[name]["payload"], FEED)
    assert day.frames.keys() == {f"app.{t}" for t in FRAMES} | {f"server.{name}" for name in SAID}
    assert {frame["type"] for frame in day.frames["server.event"]} == ENTRIES.keys()
    assert len({len(frame) for frame in day.frames["server.reply"]}) >= 3, "all three forms of a reply"
