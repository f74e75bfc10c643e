"""Calls every operation as each caller of the access matrix, with the people and orders that this needs."""

from __future__ import annotations

import base64
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.auth.permissions import allows
from api.http.operation import Operation
from api.routes import OPERATIONS
from loadtests.kit.client import Mall
from tests.acceptance.sample_mall import DROPOFF, SOON
from tests.acceptance.token_forge import TokenForge
from tests.acceptance.two_instances.cluster import PASSWORD, TwoInstances
from tests.acceptance.write_operations import WRITES
from tests.support.waiting import seconds_until

_numbers = itertools.count(1)
# Who stands for a role where it does not matter which of them.
_FIRST = {"customer": "owner", "driver": "assigned", "admin": "admin"}
_ENDED = "ses_ended"
# Name of a task that no worker knows, and of its schedule.
SCHEDULE = "matrix_sweep"
# In what state an operation finds the order; the others find it assigned.
_STATES = {
    "orders.assign": "waiting", "orders.delivery": "picked_up", "order.delivery": "picked_up",
    "orders.return": "returning", "order.return": "returning",
}  # fmt: skip
# Subprotocols of what is a WebSocket.
SOCKETS = {"feed.open": "malldrive.v1", "console.live": "mallops.v1"}
_BODIES: dict[str, Any] = {
    "auth.login": {"email": "owner-1@mint.example", "password": PASSWORD},
    "auth.password": {"old_password": PASSWORD, "new_password": PASSWORD},
    "users.password": {"new_password": PASSWORD},
    "users.update": {"name": "N"},
    "auth.request_reset": {"email": "nobody@mint.example"},
    "auth.change_profile": {"locale": "de"},
    "auth.choose_notices": {"choices": []},
    "users.change_profile": {"locale": "de"},
    "users.choose_notices": {"choices": []},
    "stores.set_contact": {"email": None, "phone": None, "locale": "en"},
    "zones.create": {"name": "Z"},
    "zones.update": {"name": "N"},
    "stores.update": {"name": "N"},
    "products.update": {"name": "N"},
    "orders.accept": {},
    "orders.decline": {},
    "orders.ready_time": {"ready_at": SOON},
    "drivers.availability": {"status": "online"},
    "webhooks.replay": {"first": "evt_999999999"},
    "payments.refund": None,
    "jobs.act": {"action": "retry", "filter": {"task": "no_such_task"}, "expected_count": 0},
}


@dataclass
class MatrixCalls:
    """Two instances, and the callers of the access matrix.

    Attributes:
        roles, numbers: of each caller.
        zone, elsewhere: of the driver that carries orders, and of the one that they are offered to.
    """

    cluster: TwoInstances
    token_forge: TokenForge
    roles: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    zone: str = ""
    elsewhere: str = ""
    store: str = ""
    product: str = ""
    offered_product: str = ""

    def token(self, caller: str, operation: str = "", session: str = "") -> str:
        """A token of the caller, with a session of its own; the wrong ones are of somebody who may."""
        changes: dict[str, Any] = {"sid": session or f"ses_{next(_numbers)}"}
        now = int(time.time())
        if caller == "expired":
            changes |= {"iat": now - 700, "exp": now - 100}
        elif caller == "foreign":
            changes["aud"] = "mall-web"
        elif caller == "revoked":
            changes["sid"] = _ENDED
        if caller not in self.roles:
            scope = OPERATIONS[operation].scope or "feed:open:own"
            caller = _FIRST[next(role for role in ("customer", "driver", "admin") if allows(role, scope))]
        changes |= {"sub": f"usr_{self.numbers[caller]}", "role": self.roles[caller]}
        return self.token_forge.with_claims(**changes)

    async def session(self, caller: str) -> str:
        """A session of the caller that has begun, for operations that look whether it has."""
        made = f"ses_{next(_numbers)}"
        await self.cluster.database.execute(
            "INSERT INTO sessions (id, user_id, token_hash, expires_at)"
            " VALUES ($2, $1, $3, now() + interval '1 hour')", self.numbers[caller], made, made.encode(),
        )  # fmt: skip
        return made

    def as_(self, caller: str) -> Mall:
        """The mall as the caller sees it."""
        return self.cluster.one.as_(self.token(caller))

    async def order(self, operation: str, caller: str) -> str:
        """An order of `owner` as the operation and the caller of a cell need it."""
        waits = caller == "offered" or _STATES.get(operation) == "waiting"
        product = self.offered_product if waits else self.product
        lines = [{"product_id": product, "quantity": 1}]
        body = {"items": lines, "dropoff": DROPOFF, "payment": "cash", "notes": "second bell"}
        key = f"key-of-the-matrix-{next(_numbers)}"
        order = str((await self.as_("owner").do("POST", "/api/v2/orders", body, key=key))["id"])
        path = f"/api/v2/orders/{order}"
        if waits:
            driver = self.as_("offered")

            async def offered() -> bool:
                return (await driver.call("GET", path))[0] == 200

            await seconds_until(offered)
            return order
        body = {"driver_id": f"drv_{self.numbers['assigned']}"}
        await self.as_("admin").do("POST", f"{path}/assignment", body)
        if _STATES.get(operation) in ("picked_up", "returning"):
            await self.as_("assigned").do("POST", f"{path}/pickup", {})
        if _STATES.get(operation) == "returning":
            back = {"reason": "nobody there", "returning": True}
            await self.as_("assigned").do("POST", f"{path}/failure", back)
        return order

    async def clear(self, order: str) -> None:
        """Bring the order to its end, whatever has become of it, so that nobody is busy."""
        path = f"/api/v2/orders/{order}"
        status, _, _ = await self.as_("admin").call("POST", f"{path}/cancellation")
        if status != 200:
            await self.as_("assigned").call("POST", f"{path}/failure", {"reason": "over"})

    async def _path(self, route: Operation, caller: str) -> str:
        if "{name}" in route.path:
            await self._make_schedule()
            return route.path.replace("{name}", SCHEDULE)
        if "{id}" not in route.path:
            return route.path.replace("{code}", "not_found")
        admin = self.as_("admin")
        match route.operation.partition(".")[0]:
            case "users" if route.operation == "users.delete":
                account = {"email": f"gone{next(_numbers)}@example.org", "password": PASSWORD, "name": "Gone"}
                found = (await admin.do("POST", "/api/v2/users", {**account, "role": "customer"}))["id"]
            case "users":
                found = f"usr_{self.numbers['owner']}"
            case "zones":
                found = self.zone
            case "stores" if route.operation == "stores.delete":
                body = {"zone_id": self.zone, "name": "Gone", "lat": 1.0, "lon": 2.0}
                found = (await admin.do("POST", "/api/v2/stores", body))["id"]
            case "stores":
                found = self.store
            case "products" if route.operation == "products.delete":
                found = await self.make_product(self.store)
            case "products":
                found = self.product
            case "drivers":
                found = f"drv_{self.numbers['stranger']}"
            case "webhooks":
                body = {"url": "https://hooks.example/"}
                found = (await admin.do("POST", "/api/v2/webhooks", body))["id"]
            case "jobs":
                found = f"job_{await self._make_dead_job()}"
            case "payments":
                found = await self.payment(captured=(route.operation, caller) == ("payments.refund", "admin"))
            case _:
                found = await self.order(route.operation, caller)
        return route.path.replace("{id}", found).replace("{event}", "evt_1")

    async def _make_schedule(self) -> None:
        """A schedule and its task, of one name."""
        await self.cluster.database.execute(
            "INSERT INTO job_schedules (name, task, payload, every_s, next_at)"
            " VALUES ($1, $1, '{}', 600, now() + interval '1 day') ON CONFLICT DO NOTHING", SCHEDULE,
        )  # fmt: skip

    async def _make_dead_job(self) -> int:
        """A job that has failed for good."""
        made: int = await self.cluster.database.fetchval(
            "INSERT INTO jobs (task, payload, trace, due_at) VALUES ($1, '{}', '', NULL) RETURNING id",
            SCHEDULE,
        )
        return made

    async def _card_order(self) -> str:
        """An order of `owner` that waits for its payment."""
        lines = [{"product_id": self.product, "quantity": 1}]
        body = {"items": lines, "dropoff": DROPOFF, "payment": "card"}
        key = f"key-of-the-matrix-{next(_numbers)}"
        return str((await self.as_("owner").do("POST", "/api/v2/orders", body, key=key))["id"])

    async def payment(self, *, captured: bool) -> str:
        """A payment of `owner`, for an order that was delivered if it is to be captured."""
        order, owner = await self._card_order(), self.as_("owner")
        body, key = {"order_id": order, "token": "tok_success"}, f"key-of-the-matrix-{next(_numbers)}"
        payment = str((await owner.do("POST", "/api/v2/payments", body, key=key))["id"])
        if captured:
            path, driver = f"/api/v2/orders/{order}", self.as_("assigned")
            assigned = {"driver_id": f"drv_{self.numbers['assigned']}"}
            await self.as_("admin").do("POST", f"{path}/assignment", assigned)
            await driver.do("POST", f"{path}/pickup", {})
            await driver.do("POST", f"{path}/delivery", {})

            async def is_captured() -> bool:
                return bool((await owner.do("GET", f"/api/v2/payments/{payment}"))["status"] == "captured")

            await seconds_until(is_captured)
        return payment

    async def make_product(self, store: str) -> str:
        """A product that never runs out."""
        body = {"store_id": store, "name": "P", "price": {"amount_minor": 450, "currency": "EUR"}}
        return str((await self.as_("admin").do("POST", "/api/v2/products", body))["id"])

    async def _body(self, operation: str) -> Any:
        account = {"email": f"matrix{next(_numbers)}@example.org", "password": PASSWORD}
        match operation:
            case "auth.register":
                return {**account, "name": "N"}
            case "auth.refresh":
                return {"refresh_token": (await self.cluster.person())["refresh_token"]}
            case "users.create":
                return {**account, "name": "N", "role": "customer"}
            case "stores.create":
                return {"zone_id": self.zone, "name": "S", "lat": 1.0, "lon": 2.0}
            case "products.create":
                return {**WRITES[operation].body, "store_id": self.store}
            case "orders.create":
                lines = [{"product_id": self.product, "quantity": 1}]
                return {"items": lines, "dropoff": DROPOFF, "payment": "card"}
            case "payments.create":
                return {"order_id": await self._card_order(), "token": "tok_success"}
            case "auth.reset":
                person = (await self.cluster.person())["user"]["id"]
                made = await self.as_("admin").do("POST", f"/api/v2/users/{person}/password-reset")
                return {"token": made["token"], "new_password": PASSWORD}
            case "orders.reassign":
                return {"driver_id": f"drv_{self.numbers['stranger']}", "reason": "dead phone"}
            case "orders.assign":
                return {"driver_id": f"drv_{self.numbers['offered']}"}
            case _ if operation in _BODIES:
                return _BODIES[operation]
            case _:
                return WRITES[operation].body if operation in WRITES else None

    async def ask(self, route: Operation, caller: str) -> int:
        """Call the operation as the caller and clean up behind it; returns the status."""
        path, body = await self._path(route, caller), await self._body(route.operation)
        headers = {"Idempotency-Key": f"key-of-the-matrix-{next(_numbers)}", "If-Match": "*"}
        if caller != "anonymous":
            session = await self.session(caller) if caller in self.roles else ""
            headers["Authorization"] = f"Bearer {self.token(caller, route.operation, session)}"
        url, http = self.cluster.one.url + path, self.cluster.one.http
        over = path.split("/")[4] if route.operation.startswith("orders.") and "{id}" in route.path else None
        if route.operation == "payments.create":
            over = body["order_id"]
        try:
            if route.operation in SOCKETS:
                return await _upgraded(http, url, headers, SOCKETS[route.operation])
            async with http.request(route.method, url, json=body, headers=headers) as response:
                if route.operation == "orders.create" and response.status == 201:
                    over = (await response.json())["id"]
                return response.status
        finally:
            if over is not None:
                await self.clear(over)


async def _upgraded(http: aiohttp.ClientSession, url: str, headers: dict[str, str], protocol: str) -> int:
    """The status of a handshake."""
    try:
        async with http.ws_connect(url, headers=headers, protocols=(protocol,), compress=0):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def set_up(cluster: TwoInstances) -> MatrixCalls:
    """Make the people, zones and products that the matrix needs."""
    person = await cluster.person()
    row = await cluster.database.fetchrow("SELECT kid, private_pem FROM signing_key")
    own = serialization.load_pem_private_key(row["private_pem"].encode(), None)
    assert isinstance(own, Ed25519PrivateKey)
    good = person["access_token"]
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in good.split(".")[:2])
    calls = MatrixCalls(cluster, TokenForge(good, header, claims, own, Ed25519PrivateKey.generate()))
    waves = {"mode": "waves", "wave_size": 1, "offer_ttl_s": 600}
    zones = [
        (await cluster.admin.do("POST", "/api/v2/zones", {"name": "Z", **waves}))["id"] for _ in range(3)
    ]
    calls.zone, calls.elsewhere = zones[:2]
    people = {"owner": "customer", "other": "customer", "admin": "admin"}
    people |= dict.fromkeys(("assigned", "offered", "stranger"), "driver")
    for caller, role in people.items():
        place = zones[("assigned", "offered", "stranger").index(caller)] if role == "driver" else ""
        options = ("--zone", place, "--capacity", "20") if place else ()
        [made] = await cluster.servers[0].mint(role, 1, "--prefix", caller, *options)
        calls.roles[caller], calls.numbers[caller] = role, int(made["id"].removeprefix("usr_"))
    number = int(person["user"]["id"].removeprefix("usr_"))
    await cluster.database.execute(
        "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE id = $1)"
        " WHERE password_hash IS NULL", number,
    )  # fmt: skip
    await cluster.database.execute(
        "INSERT INTO sessions (id, user_id, token_hash, expires_at, revoked_at)"
        " VALUES ($2, $1, 'none', now() + interval '1 hour', now())", number, _ENDED,
    )  # fmt: skip
    for place, name in ((calls.zone, "product"), (calls.elsewhere, "offered_product")):
        body = {"zone_id": place, "name": "S", "lat": 52.52, "lon": 13.4}
        store = (await cluster.admin.do("POST", "/api/v2/stores", body))["id"]
        calls.store = store
        setattr(calls, name, await calls.make_product(store))
    for caller in ("assigned", "offered", "stranger"):
        await calls.as_(caller).do("PUT", "/api/v2/drivers/me/availability", {"status": "online"})

    async def ended() -> bool:  # both have looked at the session that is over
        answers = [
            mall.as_(calls.token("revoked", "auth.me")).call("GET", "/api/v2/me")
            for mall in (cluster.one, cluster.two)
        ]
        return {(await answer)[0] for answer in answers} == {401}

    await seconds_until(ended)
    return calls
