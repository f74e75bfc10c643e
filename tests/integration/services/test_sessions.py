"""Sessions: a login is let in by what holds when the session is inserted, and rotations take turns."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

import pytest

from dispatch.domain.refresh_tokens import RefreshToken
from dispatch.sessions import OpenSession
from tests.integration.services.world import HASH, World, waits_for_a_lock


async def _opened(world: World) -> OpenSession:
    user = await world.customer()
    opened = await world.sessions.open(user["id"], HASH, "net")
    assert opened is not None
    return opened


# -- login ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET password_hash = 'x' WHERE id = $1",
        "UPDATE users SET status = 'banned' WHERE id = $1",
    ],
    ids=["password", "ban"],
)
async def test_login_waits_for_a_change_of_its_account_and_is_not_let_in(world: World, change: str) -> None:
    user = await world.customer()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        transaction = world.owner.transaction()
        await transaction.start()
        await world.owner.execute(change, user["id"])
        login = tasks.create_task(world.sessions.open(user["id"], HASH, "net"))
        await waits_for_a_lock(world.owner)
        await transaction.commit()
    assert login.result() is None
    assert await world.open_sessions(user) == set()


async def test_session_has_the_role_that_holds_when_it_is_opened(world: World) -> None:
    user = await world.customer()
    await world.owner.execute("UPDATE users SET role = 'admin' WHERE id = $1", user["id"])
    opened = await world.sessions.open(user["id"], HASH, "net")
    assert opened is not None
    assert (opened.role, opened.user) == ("admin", user["id"])


# -- refresh ----------------------------------------------------------------------------------------------


async def test_of_two_windows_that_refresh_at_once_both_get_the_same_token(world: World) -> None:
    first = (await _opened(world)).refresh
    async with asyncio.TaskGroup() as tasks:
        windows = [tasks.create_task(world.sessions.refresh(first)) for _ in range(2)]
    assert sorted(window.result().decision for window in windows) == ["repeat", "rotate"]
    one, two = [window.result().session for window in windows]
    assert one is not None
    assert one == two
    assert one.refresh.counter == 1
    assert world.tokens.sessions == []


async def test_copied_token_ends_the_session_for_good_although_it_is_refused(world: World) -> None:
    first = (await _opened(world)).refresh
    current = first
    for _ in range(2):
        renewed = (await world.sessions.refresh(current)).session
        assert renewed is not None
        current = renewed.refresh
    await world.owner.execute(
        "UPDATE sessions SET replaced = ARRAY(SELECT now() - interval '1 h' FROM unnest(replaced))"
    )
    thief = await world.sessions.refresh(first)
    assert (thief.decision, thief.session) == ("end", None)
    assert world.tokens.sessions == [first.session_id]
    owner = await world.sessions.refresh(current)
    assert (owner.decision, owner.session) == ("unknown", None), "it is over for the owner, too"


async def test_token_of_another_family_ends_nothing(world: World) -> None:
    first = (await _opened(world)).refresh
    forged = replace(first, family=secrets.token_bytes(16))
    nobody = RefreshToken(secrets.token_bytes(16), 0, secrets.token_bytes(16), secrets.token_bytes(32))
    for token in (forged, nobody):
        assert (await world.sessions.refresh(token)).decision == "unknown"
    assert (await world.sessions.refresh(first)).decision == "rotate"
    assert world.tokens.sessions == []


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE sessions SET expires_at = now() - interval '1 s'",
        "UPDATE sessions SET revoked_at = now()",
        "UPDATE users SET status = 'banned' WHERE role = 'customer'",
    ],
    ids=["expired", "revoked", "banned"],
)
async def test_session_that_is_over_is_not_renewed(world: World, end: str) -> None:
    first = (await _opened(world)).refresh
    await world.owner.execute(end)
    refused = await world.sessions.refresh(first)
    assert (refused.decision, refused.session) == ("unknown", None)


async def test_logout_ends_the_session_here_at_once(world: World) -> None:
    opened = await _opened(world)
    await world.sessions.end(opened.refresh.session_id)
    assert world.tokens.sessions == [opened.refresh.session_id]
    assert (await world.sessions.refresh(opened.refresh)).session is None
