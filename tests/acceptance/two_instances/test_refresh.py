"""Refresh tokens on two instances: a lost answer logs nobody out, a copy logs everybody out."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import Any

import pytest

from loadtests.kit.client import Mall
from tests.acceptance.two_instances.cluster import TwoInstances


async def show(mall: Mall, token: str) -> tuple[int, dict[str, Any]]:
    """Show a refresh token."""
    status, answer, _ = await mall.call("POST", "/api/v2/auth/refresh", {"refresh_token": token})
    return status, answer


async def renewed(mall: Mall, token: str) -> str:
    """The token that replaces this one."""
    status, answer = await show(mall, token)
    assert status == 200, answer
    return str(answer["refresh_token"])


async def age(cluster: TwoInstances, person: dict[str, Any], seconds: float) -> None:
    """Let the person's sessions be so much older."""
    await cluster.database.execute(
        "UPDATE sessions SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval,"
        " replaced = ARRAY(SELECT at - $2::interval FROM unnest(replaced) WITH ORDINALITY r(at, nr) ORDER BY nr)"
        " WHERE user_id = $1",
        int(person["user"]["id"].removeprefix("usr_")),
        timedelta(seconds=seconds),
    )


async def ended(cluster: TwoInstances, person: dict[str, Any]) -> bool:
    """True when the database says that all sessions of the person have ended."""
    number = int(person["user"]["id"].removeprefix("usr_"))
    rows = await cluster.database.fetch("SELECT revoked_at FROM sessions WHERE user_id = $1", number)
    return all(row["revoked_at"] is not None for row in rows)


async def test_twenty_refreshes_at_once_on_both_instances_get_one_token(cluster: TwoInstances) -> None:
    person = await cluster.person()
    async with asyncio.TaskGroup() as tasks:
        shown = [
            tasks.create_task(show(mall, person["refresh_token"]))
            for mall in (cluster.one, cluster.two)
            for _ in range(10)
        ]
    answers = [task.result() for task in shown]
    assert [status for status, _ in answers] == [200] * 20
    [current] = {answer["refresh_token"] for _, answer in answers}
    assert current != person["refresh_token"]
    for _, answer in answers:
        assert (await cluster.two.as_(answer["access_token"]).call("GET", "/api/v2/me"))[0] == 200
    assert await renewed(cluster.one, current) != current


async def test_client_whose_answer_was_lost_gets_the_same_token_an_hour_later(cluster: TwoInstances) -> None:
    person = await cluster.person()
    lost = await renewed(cluster.one, person["refresh_token"])
    await age(cluster, person, 3600)
    assert await renewed(cluster.two, person["refresh_token"]) == lost
    assert await renewed(cluster.two, lost) != lost
    assert not await ended(cluster, person)


async def test_window_that_is_two_tokens_behind_for_a_moment_gets_the_current_one(
    cluster: TwoInstances,
) -> None:
    person = await cluster.person()
    current = await renewed(cluster.one, await renewed(cluster.one, person["refresh_token"]))
    assert await renewed(cluster.two, person["refresh_token"]) == current


async def test_token_that_was_replaced_before_that_ends_the_session_and_the_end_is_committed(
    cluster: TwoInstances,
) -> None:
    person = await cluster.person()
    current = await renewed(cluster.one, await renewed(cluster.one, person["refresh_token"]))
    access = (await show(cluster.one, current))[1]["access_token"]
    await age(cluster, person, 11)
    status, answer = await show(cluster.one, person["refresh_token"])
    assert (status, answer["code"]) == (401, "invalid_refresh_token")
    assert await ended(cluster, person)
    assert (await show(cluster.two, current))[0] == 401
    assert (await cluster.one.as_(access).call("GET", "/api/v2/me"))[0] == 401


async def test_copy_that_is_five_tokens_old_ends_the_session_at_any_time(cluster: TwoInstances) -> None:
    person = await cluster.person()
    current = person["refresh_token"]
    for _ in range(5):
        current = await renewed(cluster.one, current)
    assert (await show(cluster.one, person["refresh_token"]))[0] == 401
    assert (await show(cluster.one, current))[0] == 401
    assert await ended(cluster, person)


def _changed(token: str, place: int) -> str:
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


@pytest.mark.parametrize(
    "place", [32, 40, 47], ids=["at the family's begin", "in the family", "at the family's end"]
)
async def test_token_of_nobody_ends_no_session(cluster: TwoInstances, place: int) -> None:
    """Who knows a session's id from a log can do nothing with it."""
    person = await cluster.person()
    assert (await show(cluster.one, _changed(person["refresh_token"], place)))[0] == 401
    assert not await ended(cluster, person)
    await renewed(cluster.one, person["refresh_token"])


async def test_session_ends_after_a_week_of_silence(cluster: TwoInstances) -> None:
    person = await cluster.person()
    await age(cluster, person, 7 * 86400 - 60)
    current = await renewed(cluster.one, person["refresh_token"])
    await age(cluster, person, 7 * 86400 + 60)
    assert (await show(cluster.one, current))[0] == 401


async def test_session_ends_after_thirty_days_however_often_it_is_refreshed(cluster: TwoInstances) -> None:
    person = await cluster.person()
    current = person["refresh_token"]
    for _ in range(5):
        await age(cluster, person, 6 * 86400 - 30)
        current = await renewed(cluster.one, current)
    await age(cluster, person, 300)
    assert (await show(cluster.one, current))[0] == 401


async def test_database_gives_no_token_away(cluster: TwoInstances) -> None:
    person = await cluster.person()
    first = person["refresh_token"]
    second = await renewed(cluster.one, first)
    rows = await cluster.database.fetch("SELECT s::text FROM sessions s")
    dump = "\n".join(row[0] for row in rows)
    for token in (first, second):
        assert token not in dump
        # Its key, as the database would write it.
        raw = base64.urlsafe_b64decode(token.removeprefix("ref_") + "=")
        assert raw[20:36].hex() not in dump
        assert raw[36:].hex() not in dump


async def test_of_logout_and_refresh_at_once_logout_always_wins(cluster: TwoInstances) -> None:
    for _ in range(15):
        person = await cluster.person()
        async with asyncio.TaskGroup() as tasks:
            refreshed = tasks.create_task(show(cluster.two, person["refresh_token"]))
            leaving = cluster.one.as_(person["access_token"]).do("POST", "/api/v2/auth/logout")
            tasks.create_task(leaving)
        assert await ended(cluster, person)
        status, answer = refreshed.result()
        late = answer["refresh_token"] if status == 200 else person["refresh_token"]
        assert (await show(cluster.two, late))[0] == 401
