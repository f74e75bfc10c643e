"""What becomes of a login or a change that was under way when the account changed: nobody is let in by what was."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from argon2 import PasswordHasher

from api.auth.access_tokens import make_signing_key
from api.operator.first_run import load_keys
from dispatch.credentials import Credentials
from storage.postgres.database import open_database
from tests.acceptance.in_process.in_process_server import InProcessServer
from tests.acceptance.raw_http import Answer

OLD, NEW = "correct horse", "battery staple"
_numbers = itertools.count(1)


async def account(server: InProcessServer) -> tuple[str, str]:
    """A new customer: name among the tokens, and address."""
    name = f"racer-{next(_numbers)}"
    email = f"{name}@mall.example"
    body = {"email": email, "password": OLD, "name": name}
    server.tokens[name] = (await server.good("", "POST", "/api/v2/auth/register", body))["access_token"]
    return name, email


async def open_sessions(server: InProcessServer, email: str) -> int:
    return int(
        await server.database.fetchval(
            "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id"
            " WHERE u.email = $1 AND s.revoked_at IS NULL",
            email,
        )
    )


@asynccontextmanager
async def checked_login(
    server: InProcessServer, email: str, password: str
) -> AsyncIterator[asyncio.Task[Answer]]:
    """A login whose password was found right, and that goes on when the block ends."""
    passwords, found, goes_on = server.services.passwords, asyncio.Event(), asyncio.Event()
    verify = passwords.verify

    async def stop(encoded: str | None, shown: str, *rank: Any) -> bool:
        fits = await verify(encoded, shown, *rank)
        if not found.is_set():  # only the login; what the block does is not stopped
            found.set()
            await goes_on.wait()
        return fits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "verify", stop)
        body = {"email": email, "password": password}
        login = asyncio.create_task(server.ask("", "POST", "/api/v2/auth/login", body))
        await found.wait()
        try:
            yield login
        finally:
            goes_on.set()
            await login


async def change_password(server: InProcessServer, name: str, email: str) -> None:
    del email
    await server.good(name, "POST", "/api/v2/me/password", {"old_password": OLD, "new_password": NEW})


async def ban(server: InProcessServer, name: str, email: str) -> None:
    del name
    number = await server.database.fetchval("SELECT id FROM users WHERE email = $1", email)
    await server.good("admin", "PATCH", f"/api/v2/users/usr_{number}", {"status": "banned"})


@pytest.mark.parametrize(
    ("change", "refusal", "left"),
    [(change_password, "invalid_credentials", 1), (ban, "account_disabled", 0)],
    ids=["password", "ban"],
)
async def test_login_under_way_does_not_outlive_a_change(
    server: InProcessServer,
    change: Callable[[InProcessServer, str, str], Awaitable[None]],
    refusal: str,
    left: int,
) -> None:
    name, email = await account(server)
    async with checked_login(server, email, OLD) as login:
        await change(server, name, email)
    assert (login.result().status, login.result().json["code"]) in ((401, refusal), (403, refusal))
    assert await open_sessions(server, email) == left, "only who changed the password stays"


async def test_login_under_way_is_let_in_when_only_the_effort_of_the_hash_has_changed(
    server: InProcessServer,
) -> None:
    _, email = await account(server)
    async with checked_login(server, email, OLD) as login:
        stronger = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(OLD)
        await server.database.execute("UPDATE users SET password_hash = $1 WHERE email = $2", stronger, email)
    assert login.result().status == 200


async def test_login_under_way_gets_the_role_that_holds_when_it_is_let_in(server: InProcessServer) -> None:
    name, email = await account(server)
    async with checked_login(server, email, OLD) as login:
        await server.database.execute("UPDATE users SET role = 'admin' WHERE email = $1", email)
    server.tokens[name] = login.result().json["access_token"]
    assert (await server.good(name, "GET", "/api/v2/me"))["role"] == "admin"
    assert (await server.ask(name, "GET", "/api/v2/users")).status == 200


async def test_password_is_not_changed_by_a_session_that_has_ended(server: InProcessServer) -> None:
    """Another instance has ended it a moment ago, and this one has not looked yet."""
    name, email = await account(server)
    body = {"old_password": OLD, "new_password": NEW}
    async with checked_login(server, email, OLD):
        pass
    passwords, hash_of = server.services.passwords, server.services.passwords.hash

    async def end_first(password: str) -> str:
        await server.database.execute(
            "UPDATE sessions SET revoked_at = now() WHERE user_id = (SELECT id FROM users WHERE email = $1)",
            email,
        )
        return await hash_of(password)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hash", end_first)
        answer = await server.ask(name, "POST", "/api/v2/me/password", body)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert (
        await server.ask("", "POST", "/api/v2/auth/login", {"email": email, "password": OLD})
    ).status == 200


async def test_two_first_instances_make_one_signing_key(database_url: str) -> None:
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    watcher = await asyncpg.connect(database_url)
    async with open_database(database_url) as database:
        async with database.transaction() as first:
            await first.rows("signing_keys_lock")
            await first.rows("signing_key_insert", *make_signing_key())
            other = asyncio.create_task(load_keys(Credentials(database)))
            async with asyncio.timeout(5):
                while not other.done() and not await watcher.fetchval(waits):
                    continue
        [key] = await other
        assert [key.kid] == [row["kid"] for row in await watcher.fetch("SELECT kid FROM signing_key")]
    await watcher.close()
