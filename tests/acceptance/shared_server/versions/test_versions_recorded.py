"""What clients of version 1 were written against stays: its answers are held against shapes that were
recorded when version 1 was frozen. A field more is fine; one that is gone, or of another type, is not.

`recorded_v1.json` changes only by a decision to break version 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.shared_server.versions.two_versions import BothVersions, fresh

RECORDED = Path(__file__).with_name("recorded_v1.json")


def shape(value: Any) -> Any:
    """The types in a value; a list is the shape of its first item."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number"


def lost(recorded: Any, present: Any, path: str = "") -> list[str]:
    """Where something recorded is not there any more. What may be null is null when there is nothing to say."""
    if "NoneType" in (recorded, present):
        return []
    if isinstance(recorded, dict) and isinstance(present, dict):
        gone = [f"{path}/{name}" for name in recorded.keys() - present.keys()]
        for name in recorded.keys() & present.keys():
            gone += lost(recorded[name], present[name], f"{path}/{name}")
        return gone
    if isinstance(recorded, list) and isinstance(present, list):
        return lost(recorded[0], present[0], f"{path}/0") if recorded and present else []
    return [] if recorded == present else [path]


async def conversation(client: BothVersions) -> dict[str, Any]:
    """What clients of version 1 do, and the shapes of the answers: `METHOD path as role` to status and shape."""
    heard: dict[str, Any] = {}

    async def say(method: str, path: str, role: str = "", body: Any = None, called: str = "") -> Any:
        reply = await client.ask(method, f"v1/{path}", body, role=role)
        heard[f"{method} {called or path.partition('?')[0]} as {role or 'anybody'}"] = [
            reply.status,
            shape(reply.json),
        ]
        return reply.json

    person = {"email": f"{fresh('p')}@mall.example", "password": "long enough", "name": "Pat"}
    tokens = await say("POST", "auth/register", "", person)
    await say("POST", "auth/login", "", {"email": person["email"], "password": person["password"]})
    await say("POST", "auth/refresh", "", {"refresh_token": tokens["refresh_token"]})
    await say("GET", "me", "customer")
    for kind in ("users", "zones", "stores", "products", "orders", "drivers"):
        await client.ordered()
        await say("GET", f"{kind}?page_size=1", "admin")
    for kind, number in (
        ("users", client.driver),
        ("zones", client.zone),
        ("stores", client.store),
        ("products", client.product),
    ):
        await say("GET", f"{kind}/{number}", "admin", called=f"{kind}/{{id}}")
    order = (await say("POST", "orders", "customer", client.order(notes="N")))["id"]
    for role in ("customer", "admin"):
        await say("GET", f"orders/{order}", role, called="orders/{id}")
    await say("GET", f"orders/{order}/events", "customer", called="orders/{id}/events")
    await say("PATCH", f"orders/{order}", "courier", {"status": "accepted"}, called="orders/{id}")
    await say("GET", f"orders/{order}", "courier", called="orders/{id}")
    await say("PUT", "drivers/me/location", "courier", {"lat": 52.5, "lng": 13.4})
    await say("PUT", "drivers/me/availability", "courier", {"status": "online"})
    await say("GET", "drivers/me", "courier")
    await say("GET", "drivers/me/orders", "courier")
    await say("PATCH", f"orders/{order}", "customer", {"status": "delivered"}, called="orders/{id}")
    await say("POST", "orders", "customer", {"items": []}, called="orders, wrong")
    await say("GET", "orders", "", called="orders, without a token")
    await say("GET", "orders/999999999", "customer", called="orders/{id}, unknown")
    await client.good("PATCH", f"v1/orders/{order}", {"status": "failed", "reason": "end"}, role="courier")
    return heard


async def test_nothing_that_clients_of_version_1_read_has_gone(client: BothVersions) -> None:
    recorded, present = json.loads(RECORDED.read_text()), await conversation(client)
    assert recorded.keys() == present.keys()
    gone = {said: lost(recorded[said], present[said]) for said in recorded}
    assert {said: places for said, places in gone.items() if places} == {}


def test_a_field_that_is_gone_or_of_another_type_is_found() -> None:
    recorded = shape({"a": [{"b": 1, "c": "x"}], "d": None})
    assert lost(recorded, shape({"a": [{"b": 2, "c": "y", "more": 1}], "d": None})) == []
    assert lost(recorded, shape({"a": [{"b": 2, "c": "y"}], "d": 5})) == []
    assert lost(recorded, shape({"a": [{"b": "2"}], "d": None})) == ["/a/0/c", "/a/0/b"]
    assert lost(recorded, shape({"a": [{"b": 2, "c": "y"}]})) == ["/d"]
