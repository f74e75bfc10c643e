"""Rate limits on the real server: exact, shown on every answer, truthful, and never in the way of probes."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess, open_server
from tests.acceptance.sample_mall import ORDER, fresh_key

WRONG = {"email": "customer@mall.example", "password": "not the password"}
LIMITS = {
    "MALL_RATE_LIMITS": "on",
    "MALL_LIMIT_ORDERS_PER_MIN": "4",
    "MALL_LIMIT_READS_PER_MIN": "12",
    "MALL_LIMIT_ADDRESS_FACTOR": "50",
    "MALL_UNDER_WAY_MAX": "3",
    "MALL_TRUSTED_PROXIES": "127.0.0.2/32",
}
PROXY = "127.0.0.2"
SHOWN = re.compile(r'"([a-z-]+)";r=(\d+);t=(\d+)')
POLICY = re.compile(r'"([a-z-]+)";q=(\d+);w=60')


class ServerWithLimits:
    """A server with limits, and people without a history."""

    def __init__(
        self, process: ServerProcess, http: aiohttp.ClientSession, people: dict[str, list[str]]
    ) -> None:
        self.process = process
        self.http = http
        self._people = people

    def stranger(self) -> Mall:
        return Mall(self.http, self.process.url)

    def someone(self, role: str = "customer") -> Mall:
        """A person that has not asked for anything yet."""
        return Mall(self.http, self.process.url, self._people[role].pop())


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ServerWithLimits]:
    with tempfile.TemporaryDirectory(prefix="mall-limits-") as folder:
        async with open_server(Path(folder), LIMITS) as process, open_http() as http:
            people = {
                role: [
                    person["access_token"]
                    for person in await process.mint(role, 8, "--prefix", role, *options)
                ]
                for role, options in {"customer": (), "driver": ("--zone", "zon_1")}.items()
            }
            yield ServerWithLimits(process, http, people)


def shown(headers: dict[str, str]) -> tuple[str, int, int]:
    """The RateLimit field: policy, how many remain, seconds until there is one more."""
    found, policy = SHOWN.fullmatch(headers["RateLimit"]), POLICY.fullmatch(headers["RateLimit-Policy"])
    assert found is not None
    assert policy is not None
    assert found[1] == policy[1]
    assert 0 <= int(found[2]) < int(policy[2])
    assert 1 <= int(found[3]) <= 60
    return found[1], int(found[2]), int(found[3])


def refused(answer: tuple[int, dict[str, Any], dict[str, str]], policy: str) -> None:
    """It is a refusal by this policy, in the proper form."""
    status, body, headers = answer
    assert (status, body["code"], body["violated-policies"]) == (429, "rate_limited", [policy])
    name, remaining, wait_s = shown(headers)
    assert (name, remaining) == (policy, 0)
    assert wait_s <= int(headers["Retry-After"]) <= 60


async def test_sixth_login_of_a_minute_is_refused_whatever_address_the_caller_claims(
    server: ServerWithLimits,
) -> None:
    answers = []
    for number in range(6):
        told = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
        url = server.process.url + "/api/v2/auth/login"
        async with server.http.post(url, json=WRONG, headers=told) as response:
            answers.append((response.status, await response.json(), dict(response.headers)))
    assert [body["code"] for _, body, _ in answers[:5]] == ["invalid_credentials"] * 5
    assert [shown(headers)[:2] for _, _, headers in answers[:5]] == [
        ("auth", left) for left in (4, 3, 2, 1, 0)
    ]
    refused(answers[5], "auth")
    for _ in range(120):
        async with server.http.get(server.process.url + "/health/liveness") as response:
            assert response.status == 200
            assert "RateLimit" not in response.headers


async def test_callers_behind_a_proxy_of_ours_have_five_logins_each(server: ServerWithLimits) -> None:
    codes = Counter[tuple[str, int]]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(PROXY, 0))) as http:
        for number in range(7):
            for caller in ("198.51.100.1", "198.51.100.2", "2001:db8:0:1::" + str(number)):
                told = {"X-Forwarded-For": f"10.0.0.{number}, {caller}"}
                url = server.process.url + "/api/v2/auth/login"
                # Somebody else each time: guesses at one account are slowed down by themselves.
                guess = WRONG | {"email": f"guess{number}{caller.partition(':')[0]}@mall.example"}
                async with http.post(url, json=guess, headers=told) as response:
                    codes[caller if "." in caller else "a network", response.status] += 1
    assert codes == {
        (caller, status): 5 if status == 401 else 2
        for caller in ("198.51.100.1", "198.51.100.2", "a network")
        for status in (401, 429)
    }


async def test_links_by_mail_are_counted_for_their_address_account_or_not(server: ServerWithLimits) -> None:
    url, seen = server.process.url + "/api/v2/auth/password-reset-requests", []
    for place, email in enumerate(("customer@mall.example", "nobody@mall.example")):
        local = aiohttp.TCPConnector(local_addr=(f"127.0.1.{200 + place}", 0))
        async with aiohttp.ClientSession(connector=local) as http:
            statuses = []
            for _ in range(5):
                async with http.post(url, json={"email": email}) as response:
                    statuses.append(response.status)
        seen.append(statuses)
    assert seen[0] == seen[1] == [202, 202, 202, 429, 429]


async def test_every_answer_says_what_remains(server: ServerWithLimits) -> None:
    mall = server.someone()
    answers = [
        await mall.call("GET", "/api/v2/me"),
        await mall.call("GET", "/api/v2/orders/ord_999999"),
        await mall.call("GET", "/api/v2/stores?color=red"),
        await mall.call("GET", "/api/v2/users"),
    ]
    assert [status for status, _, _ in answers] == [200, 404, 422, 403]
    assert [shown(headers)[:2] for _, _, headers in answers] == [("reads", left) for left in (11, 10, 9, 8)]
    rest = [await mall.call("GET", "/api/v2/me") for _ in range(10)]
    assert [status for status, _, _ in rest] == [200] * 8 + [429] * 2
    waits = [shown(headers)[2] for _, _, headers in [*answers, *rest]]
    assert all(later <= earlier for earlier, later in pairwise(waits))
    refused(rest[-1], "reads")
    status, _, headers = await mall.call("POST", "/api/v2/stores", {"name": "x"})
    assert (status, shown(headers)[0]) == (403, "writes"), "another policy has room"


async def test_driver_hears_of_limits_on_commands_places_and_tickets(server: ServerWithLimits) -> None:
    mall = server.someone("driver")
    place = {"lat": 52.52, "lon": 13.405}
    _, _, headers = await mall.call("PUT", "/api/v2/drivers/me/location", place)
    assert shown(headers)[:2] == ("locations", 239)
    _, _, headers = await mall.call("POST", "/api/v2/orders/ord_999999/acceptance", {})
    assert shown(headers)[:2] == ("commands", 599)
    _, _, headers = await mall.call("POST", "/api/v2/realtime/tickets")
    assert shown(headers)[:2] == ("tickets", 19)


async def test_token_that_is_not_valid_counts_for_its_address(server: ServerWithLimits) -> None:
    status, _, headers = await server.stranger().as_("nonsense").call("GET", "/api/v2/me")
    assert (status, shown(headers)[0]) == (401, "strangers")


async def test_repetitions_of_an_order_count_as_reads(server: ServerWithLimits) -> None:
    mall, keys = server.someone(), [fresh_key() for _ in range(6)]
    placed = await mall.call("POST", "/api/v2/orders", ORDER, key=keys[0])
    assert (placed[0], shown(placed[2])[:2]) == (201, ("orders", 3))
    for left in (11, 10, 9):
        status, body, headers = await mall.call("POST", "/api/v2/orders", ORDER, key=keys[0])
        assert (status, body, headers["Idempotent-Replayed"]) == (201, placed[1], "true")
        assert shown(headers)[:2] == ("reads", left)
    rejected = await mall.call("POST", "/api/v2/orders", {"items": []}, key=keys[1])
    assert (rejected[0], shown(rejected[2])[:2]) == (422, ("orders", 2)), "an attempt counts"
    for key in keys[2:4]:
        assert (await mall.call("POST", "/api/v2/orders", ORDER, key=key))[0] == 201
    refused(await mall.call("POST", "/api/v2/orders", ORDER, key=keys[4]), "orders")
    status, body, headers = await mall.call("POST", "/api/v2/orders", ORDER, key=keys[0])
    assert (status, body) == (201, placed[1]), "a lost answer can be had although no order is left"
    assert shown(headers)[:2] == ("reads", 8)
    refused(await mall.call("POST", "/api/v2/orders", ORDER, key=keys[5]), "orders")


async def passed(wait_s: float) -> None:
    """When so many seconds have passed."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(wait_s, over.set)
    await over.wait()


@pytest.mark.long
async def test_whoever_tries_for_minutes_gets_four_in_any_sixty_seconds(server: ServerWithLimits) -> None:
    mall, loop = server.someone(), asyncio.get_running_loop()
    times: list[float] = []
    ends_at = loop.time() + 130
    while loop.time() < ends_at:
        sent_at = loop.time()
        status, _, headers = await mall.call("POST", "/api/v2/orders", {"items": []}, key=fresh_key())
        if status == 422:
            times.append(sent_at)
        await passed(0.03)
    assert len(times) == 12, "at the start, after one minute, and after two"
    # An answer may have been on its way for a moment.
    assert min(later - earlier for earlier, later in zip(times, times[4:], strict=False)) > 59.5
    status, _, headers = await mall.call("POST", "/api/v2/orders", {"items": []}, key=fresh_key())
    assert status == 429
    await passed(int(headers["Retry-After"]))
    status, _, _ = await mall.call("POST", "/api/v2/orders", {"items": []}, key=fresh_key())
    assert status == 422, "the wait was true"


# -- too much at once ---------------------------------------------------------------------------------


@asynccontextmanager
async def stalled(server: ServerProcess, token: str, number: int) -> AsyncIterator[None]:
    """So many requests under way: their bodies do not come."""
    head = (
        f"PUT /api/v2/drivers/me/location HTTP/1.1\r\nHost: mall\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 30\r\n\r\n{"
    )
    before = await in_flight(server)
    writers = []
    try:
        for _ in range(number):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writers.append(writer)
            writer.write(head.encode())
            await writer.drain()
        async with asyncio.timeout(5):
            while await in_flight(server) < before + number:
                continue
        yield
    finally:
        for writer in writers:
            writer.close()
        async with asyncio.timeout(10):
            while await in_flight(server) > before:
                continue


async def in_flight(server: ServerProcess) -> int:
    return int(await metric(server.ops_url, "mall_requests_in_flight"))


async def metric(ops_url: str, name: str) -> float:
    """The sum of all series whose name and labels begin like this."""
    async with aiohttp.ClientSession() as http, http.get(ops_url + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def test_fourth_request_at_once_of_a_user_is_refused_and_others_are_not(
    server: ServerWithLimits,
) -> None:
    busy, other = server.someone("driver"), server.someone("driver")
    async with stalled(server.process, busy.token, 3):
        status, body, headers = await busy.call("GET", "/api/v2/drivers/me")
        assert (status, body["violated-policies"]) == (429, ["under-way"])
        assert headers["RateLimit-Policy"] == '"under-way";q=3;qu="concurrent-requests"'
        assert headers["Retry-After"] == "1"
        assert (await other.call("GET", "/api/v2/drivers/me"))[0] == 200
    assert (await busy.call("GET", "/api/v2/drivers/me"))[0] == 200


async def test_browsing_is_refused_first_and_the_drivers_last_when_there_is_too_much(
    short_tmp_path: Path,
) -> None:
    async with (
        open_server(short_tmp_path / "shed", {"MALL_IN_FLIGHT_MAX": "10"}) as server,
        open_http() as http,
    ):
        [driver] = await server.mint("driver", 1, "--prefix", "driver", "--zone", "zon_1")
        [admin] = await server.mint("admin", 1)
        mall = Mall(http, server.url, admin["access_token"])

        async def statuses() -> list[int]:
            asked = [
                await mall.call("GET", "/api/v2/stores"),
                await mall.call("GET", "/api/v2/me"),
                await mall.call("POST", "/api/v2/zones", {}),
                await mall.as_(driver["access_token"]).call("POST", "/api/v2/orders/ord_9/acceptance", {}),
            ]
            for status, body, headers in asked:
                if status == 503:
                    assert (body["code"], body["not_processed"]) == ("overloaded", True)
                    assert int(headers["Retry-After"]) >= 1
            async with http.get(server.url + "/health/liveness") as response:
                return [*(status for status, _, _ in asked), response.status]

        found = {}
        for number in (0, 5, 7, 8, 10):
            async with stalled(server, driver["access_token"], number):
                found[number] = await statuses()
        assert found == {
            0: [200, 200, 422, 404, 200],
            5: [503, 200, 422, 404, 200],
            7: [503, 503, 422, 404, 200],
            8: [503, 503, 503, 404, 200],
            10: [503, 503, 503, 503, 200],
        }
        assert await metric(server.ops_url, 'mall_requests_shed_total{rank="browse"}') == 4


# -- several instances ------------------------------------------------------------------------------------


async def test_three_instances_allow_together_exactly_what_one_would(short_tmp_path: Path) -> None:
    environ = {"MALL_RATE_LIMITS": "on", "MALL_UNDER_WAY_MAX": "100"}
    async with open_server(short_tmp_path / "three", environ, ("--instances", "3")) as server:
        ports = [f"http://127.0.0.1:{port}" for port in range(server.ops_port + 1, server.ops_port + 4)]
        answers: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        for customer in await server.mint("customer", 5):
            answers = await rush(server, customer["access_token"], 240)
            # On a machine that is too busy for Redis to answer in time each instance allows its share alone.
            if sum([await metric(url, 'mall_redis_errors_total{use="limits"}') for url in ports]) == 0:
                break
        assert Counter(status for status, _, _ in answers) == {200: 100, 429: 140}
        left = [shown(headers)[1] for status, _, headers in answers if status == 200]
        assert sorted(left) == list(range(100)), "each of the hundred is given out once"
        asked = 'mall_requests_total{method="GET",route="/api/v2/me"'
        shares = [await metric(url, asked) for url in ports]
        assert sum(share > 0 for share in shares) >= 2


async def rush(
    server: ServerProcess, token: str, number: int
) -> list[tuple[int, dict[str, Any], dict[str, str]]]:
    """So many reads at once, each over a connection of its own: the kernel spreads them over the instances."""
    connector = aiohttp.TCPConnector(force_close=True, limit=40)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as tasks:
        mall = Mall(http, server.url, token)
        calls = [tasks.create_task(mall.call("GET", "/api/v2/me")) for _ in range(number)]
    return [call.result() for call in calls]
