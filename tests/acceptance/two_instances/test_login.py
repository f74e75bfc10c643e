"""Logging in: guessing is slow, the owner is not shut out by those who guess, and no answer tells who exists."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from argon2 import PasswordHasher

from loadtests.kit.client import Mall, open_http
from loadtests.kit.process_usage import cpu_s
from loadtests.kit.server import open_server
from tests.acceptance.two_instances.cluster import PASSWORD, TwoInstances
from tests.conftest import copy_database

WRONG = "not the password"
TRACE = re.compile("[0-9a-f]{32}")


async def log_in(mall: Mall, email: str, password: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Try to log in."""
    return await mall.call("POST", "/api/v2/auth/login", {"email": email, "password": password})


# -- who exists -------------------------------------------------------------------------------------------


async def _kinds(cluster: TwoInstances) -> dict[str, str]:
    """Addresses of all kinds of accounts that a wrong password, or any, does not fit."""
    banned = await cluster.person()
    await cluster.admin.do("PATCH", f"/api/v2/users/{banned['user']['id']}", {"status": "banned"})
    minted = (await cluster.servers[0].mint("customer", 1, "--prefix", "bare"))[0]["email"]
    active = (await cluster.person())["email"]
    return {"wrong": active, "unknown": "nobody1@example.org", "banned": banned["email"], "minted": minted}


async def test_wrong_password_unknown_banned_and_bare_accounts_look_alike(cluster: TwoInstances) -> None:
    kinds = await _kinds(cluster)
    seen = {kind: await log_in(cluster.one, email, WRONG) for kind, email in kinds.items()}

    def plain(answer: tuple[int, dict[str, Any], dict[str, str]]) -> tuple[int, str, dict[str, str]]:
        status, body, headers = answer
        shown = {name: TRACE.sub("trace", value) for name, value in headers.items() if name != "Date"}
        return status, TRACE.sub("trace", str(body)), shown

    answers = {kind: plain(answer) for kind, answer in seen.items()}
    assert answers["wrong"][0] == 401
    assert all(answer == answers["wrong"] for answer in answers.values()), answers


async def test_only_who_knows_the_password_learns_that_the_account_is_closed(cluster: TwoInstances) -> None:
    banned = await cluster.person()
    await cluster.admin.do("PATCH", f"/api/v2/users/{banned['user']['id']}", {"status": "banned"})
    status, problem, _ = await log_in(cluster.two, banned["email"], PASSWORD)
    assert (status, problem["code"]) == (403, "account_disabled")


class Work:
    """How much processor time the server takes for requests of several kinds, however busy the machine is."""

    def __init__(self, cluster: TwoInstances) -> None:
        self._pid = cluster.servers[0].pid
        self._spent_s: dict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """What is asked inside the block is of this kind."""
        before = cpu_s(self._pid)
        yield
        self._spent_s[kind] += cpu_s(self._pid) - before

    def assert_alike(self) -> None:
        """A look at a password takes 40 ms, everything else a tenth of that: without one, half would be much."""
        least, most = min(self._spent_s.values()), max(self._spent_s.values())
        assert most < 2 * least, self._spent_s


async def test_unknown_account_is_as_much_work_as_a_wrong_password(cluster: TwoInstances) -> None:
    kinds, work = await _kinds(cluster), Work(cluster)
    for _ in range(12):
        for kind, email in kinds.items():
            with work.on(kind):
                await log_in(cluster.one, email, WRONG)
    work.assert_alike()


async def test_address_in_use_is_refused_with_the_work_of_a_registration(cluster: TwoInstances) -> None:
    taken, work = await cluster.person(), Work(cluster)
    emails = {
        "new": (f"fresh{number}@example.org" for number in itertools.count()),
        "old": repeat(taken["email"].upper()),
    }
    for _ in range(10):
        for kind, status in (("new", 201), ("old", 409)):
            body = {"email": next(emails[kind]), "password": PASSWORD, "name": "N"}
            with work.on(kind):
                assert (await cluster.one.call("POST", "/api/v2/auth/register", body))[0] == status
    work.assert_alike()


# -- passwords --------------------------------------------------------------------------------------------


async def test_password_is_the_same_however_its_letters_are_composed(cluster: TwoInstances) -> None:
    composed, taken_apart = "caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me"
    body = {"email": "accent@example.org", "password": taken_apart, "name": "N"}
    await cluster.one.do("POST", "/api/v2/auth/register", body)
    for password in (composed, taken_apart):
        assert (await log_in(cluster.one, body["email"], password))[0] == 200
    assert (await log_in(cluster.one, body["email"], "cafe creme"))[0] == 401


async def test_hash_of_less_effort_is_replaced_at_the_next_login(cluster: TwoInstances) -> None:
    person = await cluster.person()
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    stored = "SELECT password_hash FROM users WHERE email = $1"
    await cluster.database.execute(
        "UPDATE users SET password_hash = $1 WHERE email = $2", weak, person["email"]
    )
    assert (await log_in(cluster.one, person["email"], WRONG))[0] == 401
    assert await cluster.database.fetchval(stored, person["email"]) == weak
    assert (await log_in(cluster.one, person["email"], PASSWORD))[0] == 200
    strong = await cluster.database.fetchval(stored, person["email"])
    assert "$m=19456,t=2,p=1$" in strong
    assert (await log_in(cluster.two, person["email"], PASSWORD))[0] == 200
    assert await cluster.database.fetchval(stored, person["email"]) == strong


async def test_burst_of_logins_is_answered_or_refused_and_others_are_served_meanwhile(
    cluster: TwoInstances,
) -> None:
    person = await cluster.person()
    me = cluster.one.as_(person["access_token"])
    async with asyncio.TaskGroup() as tasks:
        logins = [tasks.create_task(log_in(cluster.one, person["email"], PASSWORD)) for _ in range(60)]
        assert (await me.call("GET", "/api/v2/me"))[0] == 200
        assert not all(login.done() for login in logins)
    answers = [login.result() for login in logins]
    assert {status for status, _, _ in answers} == {200, 503}
    for status, body, headers in answers:
        if status == 503:
            assert (body["code"], body["not_processed"], "Retry-After" in headers) == (
                "overloaded",
                True,
                True,
            )


# -- guessing ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def limited_url(short_tmp_path: Path, template_server: str) -> AsyncIterator[str]:
    """Address of a server with limits."""
    environ = {"DATABASE_URL": await copy_database(template_server), "MALL_RATE_LIMITS": "on"}
    async with open_server(short_tmp_path / "guessing", environ) as server:
        yield server.url


_hosts = itertools.count(10)


async def attempts(url: str, email: str, password: str, count: int, host: int | None = None) -> list[int]:
    """Statuses of so many logins from one address of its own."""
    connector = aiohttp.TCPConnector(local_addr=(f"127.0.0.{host or next(_hosts)}", 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        mall = Mall(http, url)
        return [(await log_in(mall, email, password))[0] for _ in range(count)]


async def _owner(url: str, host: int, name: str = "owner") -> str:
    """An account that was opened at this address."""
    connector = aiohttp.TCPConnector(local_addr=(f"127.0.0.{host}", 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        email = f"{name}{host}@example.org"
        body = {"email": email, "password": PASSWORD, "name": "O"}
        await Mall(http, url).do("POST", "/api/v2/auth/register", body)
        return email


async def test_crowd_that_guesses_from_many_addresses_gets_ten_attempts_together(
    limited_url: str,
) -> None:
    email = await _owner(limited_url, 2)
    seen = [status for _ in range(4) for status in await attempts(limited_url, email, WRONG, 4)]
    assert (seen.count(401), seen.count(429)) == (10, 6)
    assert (await attempts(limited_url, email.upper(), PASSWORD, 1)) == [429], (
        "the address is one however it is written"
    )


@pytest.mark.parametrize(
    ("letters", "spellings"),
    [
        ("ivan", ("IVAN", "\u0130van", "iVan", "\u0131van")),
        ("stra\u00dfe", ("STRASSE", "Stra\u1e9ee", "strasse", "STRA\u00dfE")),
        ("\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", ("\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3",)),
    ],
    ids=["dotted", "sharp", "final"],
)
async def test_no_spelling_of_an_address_passes_the_throttle_of_its_account(
    limited_url: str, letters: str, spellings: tuple[str, ...]
) -> None:
    """Whatever reaches the account counts for it: Python and Postgres fold other letters."""
    host = next(_hosts)
    email = await _owner(limited_url, host, letters)
    written = [email.replace(letters, spelling) for spelling in (letters, *spellings)]
    seen = []
    for spelling in written * 3:
        seen += await attempts(limited_url, spelling, WRONG, 4)
    reached = [s for s in written if await attempts(limited_url, s, PASSWORD, 1, host=host) == [200]]
    counted = [
        status
        for spelling, status in zip((s for s in written * 3 for _ in range(4)), seen, strict=True)
        if spelling in reached
    ]
    assert counted.count(401) == 10
    assert set(counted) == {401, 429}


async def test_owner_at_home_is_let_in_while_a_crowd_guesses(limited_url: str) -> None:
    email = await _owner(limited_url, 3)
    crowd = [status for _ in range(4) for status in await attempts(limited_url, email, WRONG, 4)]
    assert crowd[-1] == 429
    assert await attempts(limited_url, email, PASSWORD, 1, host=3) == [200]


async def test_account_that_does_not_exist_is_slowed_down_like_any_other(limited_url: str) -> None:
    seen = [
        status for _ in range(4) for status in await attempts(limited_url, "nobody2@example.org", WRONG, 4)
    ]
    assert (seen.count(401), seen.count(429)) == (10, 6)


async def test_addresses_can_be_probed_by_registering_five_times_a_minute_and_no_more(
    limited_url: str,
) -> None:
    connector = aiohttp.TCPConnector(local_addr=(f"127.0.0.{next(_hosts)}", 0))
    body = {"email": await _owner(limited_url, 4), "password": PASSWORD, "name": "P"}
    async with aiohttp.ClientSession(connector=connector) as http:
        mall = Mall(http, limited_url)
        seen = [(await mall.call("POST", "/api/v2/auth/register", body))[0] for _ in range(6)]
    assert seen == [409] * 5 + [429]


async def test_old_password_cannot_be_guessed_with_a_token_that_was_found(limited_url: str) -> None:
    async with open_http() as http:
        body = {"email": "found@example.org", "password": PASSWORD, "name": "F"}
        answer = await Mall(http, limited_url).do("POST", "/api/v2/auth/register", body)
        thief = Mall(http, limited_url, answer["access_token"])
        guess = {"old_password": WRONG, "new_password": "mine from now on"}
        seen = [(await thief.call("POST", "/api/v2/me/password", guess))[0] for _ in range(6)]
    assert seen == [403] * 5 + [429]


# -- a database that refuses --------------------------------------------------------------------------------

FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


async def test_login_on_a_full_disk_is_not_processed_and_works_when_there_is_room(
    cluster: TwoInstances,
) -> None:
    person = await cluster.person()
    await cluster.database.execute(FULL)
    try:
        status, problem, _ = await log_in(cluster.one, person["email"], PASSWORD)
        assert (status, problem["code"], problem["not_processed"]) == (503, "unavailable", True)
        assert "device" not in str(problem)
    finally:
        await cluster.database.execute("DROP FUNCTION full_disk CASCADE")
    assert (await log_in(cluster.one, person["email"], PASSWORD))[0] == 200
