"""Sessions that end: within a second for requests and within five for sockets, on the other instance, too."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import Mall
from loadtests.kit.protocol import PROTOCOL
from tests.acceptance.two_instances.cluster import PASSWORD, TwoInstances
from tests.support.waiting import seconds_until

SOCKET_S = 10.0
NEW = "battery staple"


async def _logout(cluster: TwoInstances, person: dict[str, Any]) -> None:
    await cluster.one.as_(person["access_token"]).do("POST", "/api/v2/auth/logout")


async def _password(cluster: TwoInstances, person: dict[str, Any]) -> None:
    login = {"email": person["email"], "password": PASSWORD}
    elsewhere = await cluster.one.do("POST", "/api/v2/auth/login", login)
    body = {"old_password": PASSWORD, "new_password": NEW}
    await cluster.one.as_(elsewhere["access_token"]).do("POST", "/api/v2/me/password", body)


async def _ban(cluster: TwoInstances, person: dict[str, Any]) -> None:
    await cluster.admin.do("PATCH", f"/api/v2/users/{person['user']['id']}", {"status": "banned"})


async def _role(cluster: TwoInstances, person: dict[str, Any]) -> None:
    number = int(person["user"]["id"].removeprefix("usr_"))
    await cluster.database.execute("UPDATE users SET role = 'customer' WHERE id = $1", number)


async def _copy(cluster: TwoInstances, person: dict[str, Any]) -> None:
    shown = person["refresh_token"]
    for _ in range(5):
        body = {"refresh_token": shown}
        shown = (await cluster.one.do("POST", "/api/v2/auth/refresh", body))["refresh_token"]
    await cluster.one.call("POST", "/api/v2/auth/refresh", {"refresh_token": person["refresh_token"]})


WAYS = {"logout": _logout, "password": _password, "role": _role, "reuse": _copy, "ban": _ban}


async def _refused(mall: Mall) -> bool:
    return (await mall.call("GET", "/api/v2/me"))[0] == 401


def _socket(cluster: TwoInstances, token: str) -> Any:
    """A driver's socket at the second instance."""
    return cluster.two.http.ws_connect(
        cluster.two.url + "/api/v2/drivers/feed",
        headers={"Authorization": f"Bearer {token}"},
        protocols=(PROTOCOL,),
        compress=0,
    )


async def _welcomed(ws: aiohttp.ClientWebSocketResponse) -> None:
    await ws.send_str('{"t": "hello"}')
    assert (await ws.receive_json(timeout=5))["t"] == "welcome"


async def _close_code(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """Why the server closes the socket."""
    async with asyncio.timeout(SOCKET_S):
        while True:
            message = await ws.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return message.data if message.type is aiohttp.WSMsgType.CLOSE else None


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_session_that_ends_here_is_over_everywhere(
    cluster: TwoInstances, way: Callable[[TwoInstances, dict[str, Any]], Awaitable[None]]
) -> None:
    person = await cluster.driver()
    there = cluster.two.as_(person["access_token"])
    async with _socket(cluster, person["access_token"]) as ws:
        await _welcomed(ws)
        assert (await there.call("GET", "/api/v2/me"))[0] == 200
        await way(cluster, person)
        await seconds_until(lambda: _refused(there))
        here = cluster.one.as_(person["access_token"])
        await seconds_until(lambda: _refused(here))
        code = await _close_code(ws)
    assert code == (4007 if way is _ban else 4001)
    body = {"refresh_token": person["refresh_token"]}
    assert (await cluster.two.call("POST", "/api/v2/auth/refresh", body))[0] == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with _socket(cluster, person["access_token"]):
            pass
    assert caught.value.status == 401


async def test_socket_whose_session_ends_before_its_hello_is_not_welcomed(cluster: TwoInstances) -> None:
    person = await cluster.driver()
    async with _socket(cluster, person["access_token"]) as ws:
        await _logout(cluster, person)
        there = cluster.two.as_(person["access_token"])
        await seconds_until(lambda: _refused(there))
        await ws.send_str('{"t": "hello"}')
        first = await ws.receive(timeout=SOCKET_S)
        assert (first.type, first.data) == (aiohttp.WSMsgType.CLOSE, 4001)


async def test_sockets_of_all_who_leave_are_closed_at_once_not_when_their_heartbeat_is_due(
    cluster: TwoInstances,
) -> None:
    """A heart beats every 25 s, each socket's in another second: seven of them are never due within five."""
    people = [await cluster.driver() for _ in range(7)]
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(_socket(cluster, person["access_token"])) for person in people
        ]
        for ws in sockets:
            await _welcomed(ws)
        async with asyncio.TaskGroup() as tasks:
            for person in people:
                tasks.create_task(_logout(cluster, person))
        async with asyncio.timeout(SOCKET_S):
            assert [await _close_code(ws) for ws in sockets] == [4001] * 7


async def test_ticket_of_a_session_that_has_ended_opens_nothing(cluster: TwoInstances) -> None:
    person = await cluster.driver()
    there = cluster.two.as_(person["access_token"])
    ticket = (await there.do("POST", "/api/v2/realtime/tickets"))["ticket"]
    await _logout(cluster, person)
    await seconds_until(lambda: _refused(there))
    async with cluster.two.http.ws_connect(
        cluster.two.url + "/api/v2/drivers/feed", protocols=(PROTOCOL,), compress=0
    ) as ws:
        await ws.send_json({"t": "hello", "ticket": ticket})
        assert await _close_code(ws) == 4001


async def test_other_sessions_of_the_same_person_go_on_after_a_logout(cluster: TwoInstances) -> None:
    person = await cluster.driver()
    login = {"email": person["email"], "password": PASSWORD}
    other = await cluster.two.do("POST", "/api/v2/auth/login", login)
    await _logout(cluster, person)
    await seconds_until(lambda: _refused(cluster.two.as_(person["access_token"])))
    assert (await cluster.two.as_(other["access_token"]).call("GET", "/api/v2/me"))[0] == 200


async def test_who_changes_the_password_stays_and_the_old_one_is_gone(cluster: TwoInstances) -> None:
    person = await cluster.person()
    me = cluster.one.as_(person["access_token"])
    wrong = {"old_password": "not the old one", "new_password": NEW}
    status, problem, _ = await me.call("POST", "/api/v2/me/password", wrong)
    assert (status, problem["code"]) == (403, "wrong_password")
    await me.do("POST", "/api/v2/me/password", {"old_password": PASSWORD, "new_password": NEW})
    assert (await me.call("GET", "/api/v2/me"))[0] == 200
    assert (
        await cluster.one.call("POST", "/api/v2/auth/refresh", {"refresh_token": person["refresh_token"]})
    )[0] == 200
    old, new = ({"email": person["email"], "password": password} for password in (PASSWORD, NEW))
    assert (await cluster.two.call("POST", "/api/v2/auth/login", old))[0] == 401
    assert (await cluster.two.call("POST", "/api/v2/auth/login", new))[0] == 200


async def test_of_two_password_changes_at_once_one_wins(cluster: TwoInstances) -> None:
    person = await cluster.person()
    bodies = [{"old_password": PASSWORD, "new_password": f"{NEW} {n}"} for n in range(2)]
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(mall.as_(person["access_token"]).call("POST", "/api/v2/me/password", body))
            for mall, body in zip((cluster.one, cluster.two), bodies, strict=True)
        ]
    assert sorted(task.result()[0] for task in asked) == [204, 403]


async def test_sessions_end_without_redis_as_with_it(cluster: TwoInstances) -> None:
    person = await cluster.person()
    there = cluster.two.as_(person["access_token"])
    assert cluster.valkey.pid is not None
    os.kill(cluster.valkey.pid, signal.SIGSTOP)
    try:
        assert (await there.call("GET", "/api/v2/me"))[0] == 200
        await _logout(cluster, person)
        await seconds_until(lambda: _refused(there))
    finally:
        os.kill(cluster.valkey.pid, signal.SIGCONT)
