"""Parts of a request that nobody asked for are refused in our form, not ignored."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.acceptance.bad_input import ORDER, Target, fresh_key

pytest_plugins = ("tests.acceptance.bad_input_server",)


async def _refused(response: aiohttp.ClientResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    body = await response.json()
    assert body["trace_id"] == response.headers["X-Trace-ID"]
    return response.status, body["code"]


def _headers(target: Target, **others: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.tokens['admin']}", **others}


async def test_unknown_expectation_is_refused(target: Target) -> None:
    headers = _headers(target, Expect="a miracle")
    async with target.http.get(target.server.url + "/api/v2/me", headers=headers) as response:
        assert await _refused(response) == (417, "expectation_failed")


async def test_known_expectation_is_met(target: Target) -> None:
    url, body = target.server.url + "/api/v2/auth/refresh", {"refresh_token": "x" * 50}
    async with target.http.post(url, json=body, headers={"Expect": "100-continue"}) as response:
        assert await _refused(response) == (401, "invalid_refresh_token")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_encoded_body_is_refused_unread(target: Target, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    url = target.server.url + "/api/v2/auth/login"
    async with target.http.post(url, data=b"\x00\x01\x02", headers=headers) as response:
        assert await _refused(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v2/me"), ("PATCH", "/api/v2/zones/zon_1")])
async def test_query_of_an_operation_without_one_is_refused(target: Target, method: str, path: str) -> None:
    url = target.server.url + path + "?colour=blue"
    async with target.http.request(method, url, headers=_headers(target)) as response:
        assert await _refused(response) == (422, "invalid")


async def test_body_of_a_read_is_refused(target: Target) -> None:
    headers = _headers(target, **{"Content-Type": "application/json"})
    async with target.http.get(target.server.url + "/api/v2/me", data=b"{}", headers=headers) as response:
        assert await _refused(response) == (400, "malformed_request")


@pytest.mark.parametrize("limit", ["1_0", "10.5", "10.", "%2010", "+5", "٣"])
async def test_limit_is_a_whole_number(target: Target, limit: str) -> None:
    url = f"{target.server.url}/api/v2/zones?limit={limit}"
    async with target.http.get(url, headers=_headers(target)) as response:
        assert await _refused(response) == (422, "invalid")


@pytest.mark.parametrize("limit", ["1.0", "1e0", "10e-1"])
async def test_limit_is_one_however_it_is_written(target: Target, limit: str) -> None:
    """What JSON takes for a whole number in a body is one in a query, too."""
    url = f"{target.server.url}/api/v2/users?limit={limit}"
    async with target.http.get(url, headers=_headers(target)) as response:
        assert response.status == 200
        assert len((await response.json())["items"]) == 1


async def test_body_that_never_comes_is_given_up(target: Target) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.server.port)
    try:
        writer.write(
            b"POST /api/v2/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99\r\n\r\n{"
        )
        async with asyncio.timeout(15):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"request_timeout"' in answer
    finally:
        writer.close()
        await writer.wait_closed()


async def test_cancelled_order_with_a_full_shelf_is_cancelled_all_the_same(target: Target) -> None:
    """The shelf holds 10^9 at most; what does not fit is not counted."""
    headers = {"Authorization": f"Bearer {target.tokens['customer']}", "Idempotency-Key": fresh_key()}
    async with target.http.post(
        target.server.url + "/api/v2/orders", json=ORDER, headers=headers
    ) as response:
        order = (await response.json())["id"]
    stock = await target.database.fetch("SELECT id, stock FROM products WHERE stock IS NOT NULL")
    await target.database.execute("UPDATE products SET stock = 1000000000 WHERE stock IS NOT NULL")
    url = f"{target.server.url}/api/v2/orders/{order}/cancellation"
    async with target.http.post(url, headers=_headers(target)) as response:
        assert response.status == 200
    assert await target.database.fetchval("SELECT max(stock) FROM products") == 1_000_000_000
    for row in stock:
        await target.database.execute("UPDATE products SET stock = $2 WHERE id = $1", row["id"], row["stock"])
