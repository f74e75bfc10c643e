"""Many people behind one address, and a crowd of addresses: who is honest gets in."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from argon2 import PasswordHasher

from dispatch.domain.refresh_tokens import RefreshToken
from loadtests.kit.server import ServerProcess
from tests.conftest import copy_database

PASSWORD, WRONG = "correct horse", "not the password"
PROXY = "127.0.0.2"
_numbers = itertools.count(1)


@dataclass
class ServerBehindProxy:
    """A server with limits that believes what a proxy says of addresses, and its database."""

    process: ServerProcess
    database: Any
    http: aiohttp.ClientSession

    async def post(self, what: str, address: str, body: dict[str, str]) -> tuple[int, dict[str, Any], float]:
        """One request from an address; status, answer, and after how many seconds to come back."""
        url = f"{self.process.url}/api/v2/auth/{what}"
        async with self.http.post(url, json=body, headers={"X-Forwarded-For": address}) as response:
            return response.status, await response.json(), float(response.headers.get("Retry-After", "0"))

    async def login(self, address: str, email: str, password: str = PASSWORD) -> int:
        return (await self.post("login", address, {"email": email, "password": password}))[0]

    async def people(self, count: int) -> list[str]:
        """Addresses of so many accounts."""
        hashed = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(PASSWORD)
        emails = [f"person{next(_numbers)}@example.org" for _ in range(count)]
        await self.database.execute(
            "INSERT INTO users (email, role, name, password_hash)"
            " SELECT x, 'customer', 'P', $2 FROM unnest($1::text[]) x",
            emails,
            hashed,
        )
        return emails


@pytest.fixture(scope="module")
async def server(short_tmp_path: Path, template_server: str) -> AsyncIterator[ServerBehindProxy]:
    url = await copy_database(template_server)
    environ = {"DATABASE_URL": url, "MALL_RATE_LIMITS": "on", "MALL_TRUSTED_PROXIES": f"{PROXY}/32"}
    async with AsyncExitStack() as stack:
        process = ServerProcess(short_tmp_path / "one-address", environ)
        stack.push_async_callback(process.stop)
        await process.start()
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        connector = aiohttp.TCPConnector(local_addr=(PROXY, 0), limit=400)
        timeout = aiohttp.ClientTimeout(total=120)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        yield ServerBehindProxy(process, database, http)


async def insist(
    server: ServerBehindProxy, what: str, address: str, body: dict[str, str], waits: list[float]
) -> dict[str, Any]:
    """What an honest phone does: come back when it is told to."""
    while True:
        status, answer, wait_s = await server.post(what, address, body)
        if status == 200:
            return answer
        assert status in (429, 503), answer
        waits.append(wait_s)
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(wait_s, over.set)
        await over.wait()


async def log_in_all(server: ServerBehindProxy, address: str, emails: Sequence[str]) -> list[float]:
    """All at once from one address; how long they were told to wait."""
    waits: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for email in emails:
            body = {"email": email, "password": PASSWORD}
            tasks.create_task(insist(server, "login", address, body, waits))
    return waits


async def test_forty_phones_behind_one_new_address_log_in_and_none_is_told_to_wait_long(
    server: ServerBehindProxy,
) -> None:
    waits = await log_in_all(server, "192.0.2.1", await server.people(40))
    # Each that is refused has a turn of its own, a twentieth of a second after the one before.
    assert max(waits, default=0) <= 5
    await log_in_all(server, "192.0.2.1", await server.people(3))


@pytest.mark.long
async def test_thousand_phones_behind_one_address_log_in(server: ServerBehindProxy) -> None:
    """TEST_PHONES says how many."""
    emails = await server.people(int(os.environ.get("TEST_PHONES", "1000")))
    began = asyncio.get_running_loop().time()
    waits = await log_in_all(server, "192.0.2.2", emails)
    took_s = asyncio.get_running_loop().time() - began
    print(f"{len(emails)} phones: {took_s:.1f} s, told to wait {len(waits)} times, {Counter(waits)}")
    # The first answer says about when it is one's turn; few are sent away once more.
    assert len(waits) <= 2 * len(emails)
    assert max(waits, default=0) <= 60


async def test_failures_count_for_the_address_and_successes_do_not(server: ServerBehindProxy) -> None:
    [email, other] = await server.people(2)
    seen = [await server.login("192.0.2.3", f"nobody{number}@example.org", WRONG) for number in range(3)]
    seen += [await server.login("192.0.2.3", email) for _ in range(4)]
    # One account has logged in from there: the sixth failure is allowed, the seventh is not.
    seen += [await server.login("192.0.2.3", f"no{number}@example.org", WRONG) for number in range(4)]
    seen += [await server.login("192.0.2.3", other)]
    assert seen == [401] * 3 + [200] * 4 + [401] * 3 + [429] + [429]


async def test_stranger_on_the_wireless_network_does_not_lock_the_others_out_for_long(
    server: ServerBehindProxy,
) -> None:
    """Who fails uses up what his network may fail; it is more for a network of many."""
    emails = await server.people(30)
    await log_in_all(server, "192.0.2.4", emails)
    seen = [await server.login("192.0.2.4", f"guess{number}@example.org", WRONG) for number in range(20)]
    assert set(seen) == {401}
    assert await server.login("192.0.2.4", emails[0]) == 200


async def test_networks_around_one_of_version_6_fail_together(server: ServerBehindProxy) -> None:
    seen = Counter[int]()
    for number in range(30):  # thirty customers' networks of one /56
        email = f"v6-{number}@example.org"
        seen[await server.login(f"2001:db8:7:{number:x}::1", email, WRONG)] += 1
    assert seen == {401: 20, 429: 10}
    assert await server.login("2001:db8:7:ff01::1", "another@example.org", WRONG) == 401, "another /56"


async def test_hundred_phones_behind_one_address_refresh_at_once(server: ServerBehindProxy) -> None:
    """More than the 60 failures of an address: only failures count."""
    emails = await server.people(100)
    firsts = [
        RefreshToken(*(secrets.token_bytes(16), 0, secrets.token_bytes(16), secrets.token_bytes(32)))
        for _ in emails
    ]
    await server.database.executemany(
        "INSERT INTO sessions (id, user_id, token_hash, family_hash, network, expires_at)"
        " SELECT $1, id, $3, $4, 'n', now() + interval '1 day' FROM users WHERE email = $2",
        [
            (first.session_id, email, first.key_hash, first.family_hash)
            for first, email in zip(firsts, emails, strict=True)
        ],
    )
    waits: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for first in firsts:
            tasks.create_task(insist(server, "refresh", "192.0.2.5", {"refresh_token": first.text}, waits))
    assert max(waits, default=0) <= 5
    # Tokens that are none are failures.
    seen = Counter[int]()
    for _ in range(61):
        made_up = RefreshToken(secrets.token_bytes(16), 0, secrets.token_bytes(16), secrets.token_bytes(32))
        seen[(await server.post("refresh", "192.0.2.5", {"refresh_token": made_up.text}))[0]] += 1
    assert seen == {401: 60, 429: 1}


async def test_who_has_been_here_before_is_let_in_while_three_hundred_addresses_log_in(
    server: ServerBehindProxy,
) -> None:
    emails = await server.people(8)
    for number, email in enumerate(emails):
        assert await server.login(f"198.51.100.{number}", email) == 200
    over = asyncio.Event()

    async def crowd(number: int) -> None:
        for attempt in itertools.count():
            if over.is_set():
                return
            email = f"crowd{number}x{attempt}@example.org"
            _, _, wait_s = await server.post(
                "login", f"203.0.{113 + number // 250}.{number % 250}", {"email": email, "password": WRONG}
            )
            if wait_s > 2:
                return

    async with asyncio.TaskGroup() as tasks:
        for number in range(300):
            tasks.create_task(crowd(number))
        refused = Counter[int]()
        while not refused[503]:  # the crowd is there
            refused[await server.login("198.51.100.200", f"x{next(_numbers)}@example.org", WRONG)] += 1
        answers = [
            await server.post("login", f"198.51.100.{number}", {"email": email, "password": PASSWORD})
            for number, email in enumerate(emails)
        ]
        over.set()
    assert [status for status, _, _ in answers] == [200] * 8, [body.get("code") for _, body, _ in answers]
