"""Accounts as their owners use them: whoever was verified a moment ago is compared again where it counts."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.errors import (
    AccountClosed,
    EmailTaken,
    NoSuchUser,
    PasswordReplaced,
    ResetTokenInvalid,
    SessionOver,
)
from tests.integration.services.world import HASH, World

NEW, OTHER = "hash of the second password", "hash of the third password"


async def test_address_in_use_is_refused_however_it_is_written(world: World) -> None:
    await world.accounts.register("Zoë@Mall.example", HASH, "Z")
    with pytest.raises(EmailTaken):
        await world.accounts.register("ZOE\u0308@mall.EXAMPLE", HASH, "Z")


async def test_account_is_known_on_the_network_that_it_was_used_from(world: World) -> None:
    user = await world.customer()
    await world.session(user, "home")
    seen = {network: await world.accounts.for_login(user["email"], network) for network in ("home", "away")}
    assert {network: row and row["known"] for network, row in seen.items()} == {"home": True, "away": False}
    assert await world.accounts.for_login("nobody@mall.example", "home") is None
    assert await world.accounts.count_known("home", 10) == 1


# -- passwords --------------------------------------------------------------------------------------------


async def test_of_two_changes_of_a_password_at_once_one_wins(world: World) -> None:
    user = await world.customer()
    one, two = await world.session(user), await world.session(user)
    async with asyncio.TaskGroup() as tasks:
        changes = [
            tasks.create_task(_change(world, user["id"], session, new))
            for session, new in ((one, NEW), (two, OTHER))
        ]
    [winner] = [at for at, change in enumerate(changes) if change.result() is None]
    assert isinstance(changes[1 - winner].result(), PasswordReplaced)
    assert await world.hash_of(user) == (NEW, OTHER)[winner]
    assert await world.open_sessions(user) == {(one, two)[winner]}, "the winner's own session goes on"
    assert world.tokens.sessions == [(two, one)[winner]]


async def _change(world: World, number: int, session: str, new: str) -> Exception | None:
    try:
        await world.accounts.change_password(number, session, new, HASH)
    except (PasswordReplaced, SessionOver) as error:
        return error
    return None


async def test_session_that_has_ended_changes_no_password(world: World) -> None:
    user = await world.customer()
    ended, other = await world.session(user), await world.session(user)
    await world.sessions.end(ended)
    with pytest.raises(SessionOver):
        await world.accounts.change_password(user["id"], ended, NEW, HASH)
    assert await world.hash_of(user) == HASH
    assert await world.open_sessions(user) == {other}


async def test_rehash_does_not_bring_an_old_password_back(world: World) -> None:
    user = await world.customer()
    await world.accounts.replace_password(user["id"], NEW)
    await world.accounts.rehash(user["id"], "stronger hash of the first password", HASH)
    assert await world.hash_of(user) == NEW


async def test_replaced_password_ends_all_sessions_on_this_instance_too(world: World) -> None:
    user = await world.customer()
    opened = {await world.session(user), await world.session(user)}
    await world.accounts.replace_password(user["id"], NEW)
    assert await world.open_sessions(user) == set()
    assert set(world.tokens.sessions) == opened


async def test_closed_account_gets_no_password(world: World) -> None:
    user = await world.customer()
    await world.owner.execute("UPDATE users SET status = 'banned' WHERE id = $1", user["id"])
    with pytest.raises(AccountClosed):
        await world.accounts.replace_password(user["id"], NEW)
    with pytest.raises(AccountClosed):
        await world.accounts.make_reset_token(user["id"])
    assert await world.hash_of(user) == HASH
    with pytest.raises(NoSuchUser):
        await world.accounts.require(10**9)


# -- reset tokens -----------------------------------------------------------------------------------------


async def test_of_two_who_show_a_reset_token_at_once_one_chooses_the_password(world: World) -> None:
    user = await world.customer()
    await world.session(user)
    token = (await world.accounts.make_reset_token(user["id"])).text
    async with asyncio.TaskGroup() as tasks:
        uses = [tasks.create_task(_use(world, token, new)) for new in (NEW, OTHER)]
    [winner] = [at for at, use in enumerate(uses) if use.result()]
    assert await world.hash_of(user) == (NEW, OTHER)[winner]
    assert await world.open_sessions(user) == set()


async def _use(world: World, token: str, new: str) -> bool:
    try:
        await world.accounts.use_reset_token(token, new)
    except ResetTokenInvalid:
        return False
    return True


async def test_reset_token_is_void_when_another_was_made_or_its_hour_is_over(world: World) -> None:
    user = await world.customer()
    void = (await world.accounts.make_reset_token(user["id"])).text
    late = (await world.accounts.make_reset_token(user["id"])).text
    await world.accounts.check_reset_token(late)
    await world.owner.execute("UPDATE password_reset SET expires_at = now()")
    for token in (void, late, "rst_" + "0" * 64):
        with pytest.raises(ResetTokenInvalid):
            await world.accounts.check_reset_token(token)
        with pytest.raises(ResetTokenInvalid):
            await world.accounts.use_reset_token(token, NEW)
    assert await world.hash_of(user) == HASH


async def test_reset_token_is_not_in_the_database(world: World) -> None:
    user = await world.customer()
    made = await world.accounts.make_reset_token(user["id"])
    stored = await world.owner.fetchval("SELECT string_agg(r::text, '') FROM password_reset r")
    assert made.text.removeprefix("rst_") not in stored
