"""Limits in number: members, items, parameters; and who is told to go on with its body."""

from __future__ import annotations

import asyncio
import json

import pytest

from api.contract.json_body import ITEMS_MAX, MEMBERS_MAX, scan_json
from api.contract.problems import Problem
from api.http.request import QUERY_PARAMETERS_MAX
from tests.acceptance.raw_http import RunningServer, faults, refusal
from tests.acceptance.write_operations import WITH_BODY


def members(count: int, value: object = 1) -> dict[str, object]:
    return {f"m{number}": value for number in range(count)}


# As the quick reader takes them, and with an escape, which only the slow one reads.
@pytest.mark.parametrize("escape", [b"", b'"\\u0041",'], ids=["quick", "slow"])
def test_members_and_items_are_taken_to_the_limit_and_no_further(escape: bytes) -> None:
    split = {"a": members(MEMBERS_MAX // 2 - 1), "b": members(MEMBERS_MAX // 2 - 1)}
    good: list[object] = [members(MEMBERS_MAX), split, [1] * ITEMS_MAX, [[1] * 400] * 3]
    bad: list[object] = [
        members(MEMBERS_MAX + 1),
        split | {"c": 1},
        [1] * (ITEMS_MAX + 1),
        {"a": [[0] * 501]},
    ]
    for value in good:
        assert scan_json(b"[" + escape + json.dumps(value).encode() + b"]")[-1] == value
    for value in bad:
        with pytest.raises(Problem) as caught:
            scan_json(b"[" + escape + json.dumps(value).encode() + b"]")
        assert caught.value.code == "malformed_json"


@pytest.mark.usefixtures("database_unchanged")
async def test_no_operation_takes_too_many_members_or_items(server: RunningServer) -> None:
    for name in WITH_BODY:
        for body in (members(MEMBERS_MAX + 1), {"items": [1] * (ITEMS_MAX + 1)}):
            problem = refusal(await server.write(name, json.dumps(body).encode()), 400, "malformed_json")
            assert "more than" in problem["detail"]


async def test_a_query_of_too_many_parameters_is_refused_by_the_first_too_many(server: RunningServer) -> None:
    names = [f"p{number}" for number in range(QUERY_PARAMETERS_MAX + 5)]
    for path, role in (
        ("/api/v2/zones", "customer"),
        ("/api/v2/stores", "driver"),
        ("/api/v2/users", "admin"),
    ):
        answer = await server.send("GET", f"{path}?{'=1&'.join(names)}=1", role=role)
        problem = refusal(answer, 422, "invalid")
        assert faults(problem) == {("query", names[QUERY_PARAMETERS_MAX])}
        assert problem["errors"][0]["code"] == "too_many"
        repeated = await server.send("GET", path + "?" + "&".join(["limit=1"] * 2000)[:4000], role=role)
        assert faults(refusal(repeated, 422, "invalid")) == {("query", "limit")}


async def test_a_parameter_that_stands_twice_is_named(server: RunningServer) -> None:
    answer = await server.send("GET", "/api/v2/stores?zone_id=zon_1&limit=1&zone_id=zon_1", role="customer")
    problem = refusal(answer, 422, "invalid")
    assert faults(problem) == {("query", "zone_id")}
    assert problem["errors"][0]["code"] == "repeated"


BODY = b'{"refresh_token": "%s"}' % (b"x" * 50)


@pytest.mark.parametrize(("version", "told"), [("1.1", True), ("1.0", False)])
async def test_only_a_client_that_knows_interim_answers_is_told_to_go_on(
    server: RunningServer, version: str, *, told: bool
) -> None:
    head = f"POST /api/v2/auth/refresh HTTP/{version}\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += f"Expect: 100-Continue\r\nContent-Length: {len(BODY)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    async with asyncio.timeout(8):
        writer.write(head.encode())
        if told:
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(f"HTTP/{version} 401 ".encode())


async def test_a_client_that_asks_before_too_large_a_body_need_not_send_it(server: RunningServer) -> None:
    head = b"POST /api/v2/auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += b"Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
    async with asyncio.timeout(8):
        writer.write(head)
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
