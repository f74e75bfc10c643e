"""Parts of a request that nobody asked for are refused in our form, not ignored."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.acceptance.raw_http import RunningServer
from tests.acceptance.sample_mall import ORDER, fresh_key


async def _refused(response: aiohttp.ClientResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    body = await response.json()
    assert body["trace_id"] == response.headers["X-Trace-ID"]
    return response.status, body["code"]


def _headers(server: RunningServer, **others: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.tokens['admin']}", **others}


async def test_unknown_expectation_is_refused(server: RunningServer) -> None:
    headers = _headers(server, Expect="a miracle")
    async with server.http.get(server.process.url + "/api/v2/me", headers=headers) as response:
        assert await _refused(response) == (417, "expectation_failed")


async def test_known_expectation_is_met(server: RunningServer) -> None:
    url, body = server.process.url + "/api/v2/auth/refresh", {"refresh_token": "x" * 50}
    async with server.http.post(url, json=body, headers={"Expect": "100-continue"}) as response:
        assert await _refused(response) == (401, "invalid_refresh_token")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
async def test_encoded_body_is_refused_unread(server: RunningServer, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    url = server.process.url + "/api/v2/auth/login"
    async with server.http.post(url, data=b"\x00\x01\x02", headers=headers) as response:
        assert await _refused(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v2/me"), ("PATCH", "/api/v2/zones/zon_1")])
async def test_query_of_an_operation_without_one_is_refused(
    server: RunningServer, method: str, path: str
) -> None:
    url = server.process.url + path + "?colour=blue"
    async with server.http.request(method, url, headers=_headers(server)) as response:
        assert await _refused(response) == (422, "invalid")


async def test_body_of_a_read_is_refused(server: RunningServer) -> None:
    headers = _headers(server, **{"Content-Type": "application/json"})
    async with server.http.get(server.process.url + "/api/v2/me", data=b"{}", headers=headers) as response:
        assert await _refused(response) == (400, "malformed_request")


@pytest.mark.parametrize("limit", ["1_0", "10.5", "10.", "%2010", "+5", "٣"])
async def test_limit_is_a_whole_number(server: RunningServer, limit: str) -> None:
    url = f"{server.process.url}/api/v2/zones?limit={limit}"
    async with server.http.get(url, headers=_headers(server)) as response:
        assert await _refused(response) == (422, "invalid")


@pytest.mark.parametrize("limit", ["1.0", "1e0", "10e-1"])
async def test_limit_is_one_however_it_is_written(server: RunningServer, limit: str) -> None:
    """What JSON takes for a whole number in a body is one in a query, too."""
    url = f"{server.process.url}/api/v2/users?limit={limit}"
    async with server.http.get(url, headers=_headers(server)) as response:
        assert response.status == 200
        assert len((await response.json())["items"]) == 1


async def test_body_that_never_comes_is_given_up(server: RunningServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.process.port)
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


async def test_cancelled_order_with_a_full_shelf_is_cancelled_all_the_same(server: RunningServer) -> None:
    """The shelf holds 10^9 at most; what does not fit is not counted."""
    headers = {"Authorization": f"Bearer {server.tokens['customer']}", "Idempotency-Key": fresh_key()}
    async with server.http.post(
        server.process.url + "/api/v2/orders", json=ORDER, headers=headers
    ) as response:
        order = (await response.json())["id"]
    stock = await server.database.fetch("SELECT id, stock FROM products WHERE stock IS NOT NULL")
    await server.database.execute("UPDATE products SET stock = 1000000000 WHERE stock IS NOT NULL")
    url = f"{server.process.url}/api/v2/orders/{order}/cancellation"
    async with server.http.post(url, headers=_headers(server)) as response:
        assert response.status == 200
    assert await server.database.fetchval("SELECT max(stock) FROM products") == 1_000_000_000
    for row in stock:
        await server.database.execute("UPDATE products SET stock = $2 WHERE id = $1", row["id"], row["stock"])
