"""Idempotency keys: broken ones, and good ones used twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.routes import OPERATIONS
from tests.acceptance.raw_http import JSON, Answer, RunningServer, faults, refusal
from tests.acceptance.sample_mall import DROPOFF, ORDER, PRODUCT, SOON, fresh_key
from tests.acceptance.write_operations import WRITES

unchanged = pytest.mark.usefixtures("database_unchanged")

KEYS: dict[str, list[str | bytes]] = {
    "empty": [""],
    "15 characters": ["k" * 15],
    "256 characters": ["k" * 256],
    "15 characters in quotes": ['"' + "k" * 15 + '"'],
    "a space inside": ["key of many words"],
    "a tab inside": ["key-with-a\ttab-in-it"],
    "a quote inside": ['key-with-a"-quote-in-it'],
    "one quote": ['"key-with-one-quote'],
    "only quotes": ['"' * 20],
    "not ASCII": ["ключ-идемпотентности"],
    "not UTF-8": [b"key-with-\xff-bytes-in-it"],
    "twice": ["a-key-that-is-fine", "a-key-that-is-fine"],
    "two different ones": ["a-key-that-is-fine", "another-fine-key"],
}
# Everything else that takes a key, as the documents say.
COMMANDS = [name for name, said in OPERATIONS.items() if said.key and name != "orders.create"]
MALFORMED = "invalid_idempotency_key"


@unchanged
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
async def test_an_order_under_a_malformed_key_is_refused(
    server: RunningServer, keys: list[str | bytes]
) -> None:
    headers = (JSON, *(("Idempotency-Key", key) for key in keys))
    problem = refusal(
        await server.write("orders.create", json.dumps(ORDER).encode(), headers), 400, MALFORMED
    )
    assert faults(problem) == {("header", "Idempotency-Key")}


@unchanged
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
async def test_a_command_under_a_malformed_key_is_refused(
    server: RunningServer, keys: list[str | bytes]
) -> None:
    headers = (JSON, *(("Idempotency-Key", key) for key in keys))
    for name in COMMANDS:
        body = WRITES[name].body
        answer = await server.write(name, None if body is None else json.dumps(body).encode(), headers)
        assert faults(refusal(answer, 400, MALFORMED)) == {("header", "Idempotency-Key")}


@unchanged
async def test_an_order_without_a_key_is_refused(server: RunningServer) -> None:
    body = json.dumps(ORDER).encode()
    problem = refusal(
        await server.send("POST", "/api/v2/orders", [JSON], body, role="customer"), 400, MALFORMED
    )
    assert faults(problem) == {("header", "Idempotency-Key")}


async def place(server: RunningServer, key: str, body: Any = ORDER, role: str = "customer") -> Answer:
    """Place an order under a key; a body of bytes is sent as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = (JSON, ("Idempotency-Key", key))
    return await server.send("POST", "/api/v2/orders", headers, data, role=role)


async def test_the_same_order_under_the_same_key_is_answered_byte_for_byte(server: RunningServer) -> None:
    key = fresh_key()
    first = await place(server, key)
    rows = await server.contents()
    second = await place(server, key)
    assert (first.status, second.status) == (201, 201)
    assert second.body == first.body
    assert second.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["x-trace-id"] != first.headers["x-trace-id"]
    assert await server.contents() == rows


async def test_quotes_spaces_and_the_order_of_names_do_not_make_another_request(
    server: RunningServer,
) -> None:
    key = fresh_key()
    first = await place(server, key)
    again = await place(server, f'"{key}"', json.dumps(dict(reversed(ORDER.items())), indent=4).encode())
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"


CHANGES = {
    "payment": {"payment": "card"}, "notes": {"notes": "other"},
    "quantity": {"items": [{"product_id": PRODUCT, "quantity": 2}]},
    "place": {"dropoff": DROPOFF | {"lat": 52.53}},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_key_used_for_another_order_is_refused(server: RunningServer, change: dict[str, Any]) -> None:
    key = fresh_key()
    first = await place(server, key)
    rows = await server.contents()
    refusal(await place(server, key, ORDER | change), 422, "key_reused")
    assert (await place(server, key)).body == first.body
    assert await server.contents() == rows


async def test_the_same_key_of_another_customer_is_another_key(server: RunningServer) -> None:
    key = fresh_key()
    first, second = await place(server, key), await place(server, key, role="other")
    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]
    assert (first.json["customer_id"], second.json["customer_id"]) == ("usr_2", "usr_4")


async def test_a_key_is_not_spent_by_a_body_that_is_refused(server: RunningServer) -> None:
    key = fresh_key()
    refusal(await place(server, key, b"{"), 400, "malformed_json")
    refusal(await place(server, key, ORDER | {"payment": "gold"}), 422, "invalid")
    answer = await place(server, key)
    assert answer.status == 201
    assert "idempotent-replayed" not in answer.headers


async def test_an_order_of_an_unknown_product_is_refused_again_and_again(server: RunningServer) -> None:
    key, lines = fresh_key(), [{"product_id": f"prd_{n}", "quantity": 1} for n in (1, 999_999)]
    before = await server.contents()
    answers = [await place(server, key, ORDER | {"items": lines}) for _ in range(2)]
    for answer in answers:
        assert faults(refusal(answer, 422, "unknown_product")) == {("body", "#/items/1/product_id")}
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    after = await server.contents()
    assert after.pop("idempotency")[0] == before.pop("idempotency")[0] + 1
    assert after == before, "only the answer is remembered"


async def test_a_command_under_a_used_key_is_replayed_or_refused(server: RunningServer) -> None:
    order = (await place(server, fresh_key())).json
    headers = (JSON, ("Idempotency-Key", fresh_key()))
    path = f"/api/v2/orders/{order['id']}/ready-time"

    async def put(at: str) -> Answer:
        return await server.send("PUT", path, headers, json.dumps({"ready_at": at}).encode(), role="admin")

    first = await put(SOON)
    rows = await server.contents()
    assert (first.status, (await put(SOON)).body) == (200, first.body)
    refusal(await put(order["ready_at"]), 422, "key_reused")
    assert await server.contents() == rows
