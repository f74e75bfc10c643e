"""Accounts that are looked after: lost passwords, other addresses and roles, deletion; an admin always stays."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import asyncpg
import pytest

from loadtests.kit.client import Mall
from loadtests.kit.server import ROOT
from tests.acceptance.sample_mall import DROPOFF, fresh_key
from tests.acceptance.two_instances.cluster import PASSWORD, TwoInstances
from tests.support.waiting import seconds_until

NEW, NEWER = "battery staple", "staple of batteries"
_numbers = itertools.count(1)


async def patched(mall: Mall, user: str, body: dict[str, Any], tag: str = "*") -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {mall.token}", "If-Match": tag}
    async with mall.http.patch(f"{mall.url}/api/v2/users/{user}", json=body, headers=headers) as response:
        return response.status, await response.json()


async def deleted(mall: Mall, user: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {mall.token}", "If-Match": "*"}
    async with mall.http.delete(f"{mall.url}/api/v2/users/{user}", headers=headers) as response:
        return response.status, {} if response.status == 204 else await response.json()


async def log_in(mall: Mall, email: str, password: str) -> int:
    return (await mall.call("POST", "/api/v2/auth/login", {"email": email, "password": password}))[0]


async def is_over(cluster: TwoInstances, person: dict[str, Any]) -> None:
    """Both instances refuse the person's session."""
    for mall in (cluster.one, cluster.two):

        async def refused(there: Mall = mall.as_(person["access_token"])) -> bool:
            return (await there.call("GET", "/api/v2/me"))[0] == 401

        await seconds_until(refused)
    body = {"refresh_token": person["refresh_token"]}
    assert (await cluster.one.call("POST", "/api/v2/auth/refresh", body))[0] == 401


# -- passwords --------------------------------------------------------------------------------------------


async def test_admin_sets_a_password_and_all_sessions_end(cluster: TwoInstances) -> None:
    person = await cluster.person()
    path = f"/api/v2/users/{person['user']['id']}/password"
    assert (await cluster.admin.call("PUT", path, {"new_password": NEW}))[0] == 204
    await is_over(cluster, person)
    assert await log_in(cluster.two, person["email"], PASSWORD) == 401
    assert await log_in(cluster.two, person["email"], NEW) == 200


async def test_link_lets_a_person_choose_a_password_once(cluster: TwoInstances) -> None:
    person = await cluster.person()
    path = f"/api/v2/users/{person['user']['id']}/password-reset"
    void = (await cluster.admin.do("POST", path))["token"]
    token = (await cluster.admin.do("POST", path))["token"]
    use = "/api/v2/auth/password-reset"
    status, body, _ = await cluster.two.call("POST", use, {"token": void, "new_password": NEW})
    assert (status, body["code"]) == (401, "invalid_reset_token"), "only the latest is good"
    async with asyncio.TaskGroup() as tasks:
        used = [
            tasks.create_task(mall.call("POST", use, {"token": token, "new_password": NEW}))
            for mall in (cluster.one, cluster.two)
        ]
    assert sorted(task.result()[0] for task in used) == [204, 401], "once"
    await is_over(cluster, person)
    assert await log_in(cluster.one, person["email"], NEW) == 200
    stored = await cluster.database.fetchval("SELECT string_agg(r::text, '') FROM password_reset r")
    assert token not in (stored or "")


async def test_link_is_void_after_an_hour_and_when_the_account_has_changed(cluster: TwoInstances) -> None:
    use = "/api/v2/auth/password-reset"
    changes = (
        "UPDATE password_reset SET expires_at = now() WHERE user_id = $1",
        "UPDATE users SET email = 'other' || id || '@example.org' WHERE id = $1",
        "UPDATE users SET role = 'admin' WHERE id = $1",
        "UPDATE users SET password_hash = 'another' WHERE id = $1",
        "UPDATE users SET status = 'banned' WHERE id = $1",
    )
    for change in changes:
        person = await cluster.person()
        token = (await cluster.admin.do("POST", f"/api/v2/users/{person['user']['id']}/password-reset"))[
            "token"
        ]
        await cluster.database.execute(change, int(person["user"]["id"].removeprefix("usr_")))
        assert (await cluster.one.call("POST", use, {"token": token, "new_password": NEW}))[0] == 401, change


async def _command(cluster: TwoInstances, email: str, password: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run.py"), "set-password", email, cwd=ROOT, env=cluster.servers[0].environ,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate(f"{password}\n".encode())
    return process.returncode or 0, said.decode()


async def test_password_is_set_from_the_command_line_while_instances_run(cluster: TwoInstances) -> None:
    person = await cluster.person()
    code, said = await _command(cluster, person["email"].upper(), NEWER)
    assert (code, NEWER in said) == (0, False)
    await is_over(cluster, person)
    assert await log_in(cluster.two, person["email"], NEWER) == 200
    code, said = await _command(cluster, "nobody@example.org", NEWER)
    assert (code, "no account" in said) == (1, True)
    code, said = await _command(cluster, person["email"], "short")
    assert (code, "8 to 128" in said) == (1, True)


# -- addresses and roles ----------------------------------------------------------------------------------


async def test_other_address_ends_the_sessions_and_is_the_one_to_log_in_with(cluster: TwoInstances) -> None:
    person, other = await cluster.person(), await cluster.person()
    user, email = person["user"]["id"], f"Moved{next(_numbers)}@example.org"
    status, body = await patched(cluster.admin, user, {"email": other["email"].upper()})
    assert (status, body["code"]) == (409, "email_taken")
    status, body = await patched(cluster.admin, user, {"email": email})
    assert (status, body["email"]) == (200, email)
    await is_over(cluster, person)
    assert await log_in(cluster.one, person["email"], PASSWORD) == 401
    assert await log_in(cluster.one, email.lower(), PASSWORD) == 200, "at once, on this instance, too"


async def test_other_role_ends_the_sessions_and_the_next_has_it(cluster: TwoInstances) -> None:
    person = await cluster.person()
    status, body = await patched(cluster.admin, person["user"]["id"], {"role": "admin"})
    assert (status, body["role"]) == (200, "admin")
    await is_over(cluster, person)
    login = {"email": person["email"], "password": PASSWORD}
    again = await cluster.one.do("POST", "/api/v2/auth/login", login)
    assert (await cluster.two.as_(again["access_token"]).call("GET", "/api/v2/users"))[0] == 200


async def test_customer_becomes_a_driver_with_a_zone_and_works(cluster: TwoInstances) -> None:
    person = await cluster.person()
    status, body = await patched(cluster.admin, person["user"]["id"], {"role": "driver"})
    assert (status, body["errors"][0]["pointer"]) == (422, "#/zone_id")
    status, body = await patched(
        cluster.admin, person["user"]["id"], {"role": "driver", "zone_id": cluster.zone}
    )
    assert (status, body["capacity"]) == (200, 1)
    login = {"email": person["email"], "password": PASSWORD}
    driver = cluster.two.as_((await cluster.two.do("POST", "/api/v2/auth/login", login))["access_token"])
    await driver.do("PUT", "/api/v2/drivers/me/availability", {"status": "online"})
    status, body = await patched(cluster.admin, person["user"]["id"], {"role": "customer"})
    assert (status, "zone_id" in body) == (200, False)
    number = int(person["user"]["id"].removeprefix("usr_"))
    assert await cluster.database.fetchval("SELECT status FROM drivers WHERE id = $1", number) == "offline"
    code, said = await cluster.command("verify")
    assert code == 0, said
    status, body = await patched(cluster.admin, person["user"]["id"], {"role": "driver"})
    assert (status, body["zone_id"]) == (200, cluster.zone), "the zone of before"


async def _carrying(cluster: TwoInstances) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A driver who carries an order of a customer."""
    driver, customer = await cluster.driver(), await cluster.person()
    body = {"zone_id": cluster.zone, "name": "S", "lat": 52.52, "lon": 13.4}
    store = (await cluster.admin.do("POST", "/api/v2/stores", body))["id"]
    body = {"store_id": store, "name": "P", "price": {"amount_minor": 5, "currency": "EUR"}}
    product = (await cluster.admin.do("POST", "/api/v2/products", body))["id"]
    wish = {
        "items": [{"product_id": product, "quantity": 1}],
        "dropoff": DROPOFF,
        "payment": "cash",
        "notes": "the cellar door",
    }
    order = await cluster.one.as_(customer["access_token"]).do(
        "POST", "/api/v2/orders", wish, key=fresh_key()
    )
    mall = cluster.one.as_(driver["access_token"])
    await mall.do("PUT", "/api/v2/drivers/me/availability", {"status": "online"})
    body = {"driver_id": driver["user"]["driver_id"]}
    await cluster.admin.do("POST", f"/api/v2/orders/{order['id']}/assignment", body)
    return driver, customer, str(order["id"])


async def test_driver_who_carries_an_order_stays_one_until_it_is_delivered(cluster: TwoInstances) -> None:
    driver, customer, order = await _carrying(cluster)
    status, body = await patched(cluster.admin, driver["user"]["id"], {"role": "customer"})
    assert (status, body["code"]) == (409, "user_busy")
    for user in (driver, customer):
        status, body = await deleted(cluster.admin, user["user"]["id"])
        assert (status, body["code"]) == (409, "user_busy")
    mall = cluster.one.as_(driver["access_token"])
    await mall.do("POST", f"/api/v2/orders/{order}/pickup", {})
    await mall.do("POST", f"/api/v2/orders/{order}/delivery", {})
    assert (await patched(cluster.admin, driver["user"]["id"], {"role": "customer"}))[0] == 200
    assert (await deleted(cluster.admin, customer["user"]["id"]))[0] == 204


# -- deletion ---------------------------------------------------------------------------------------------


async def test_nothing_of_a_deleted_person_is_left_but_a_number(cluster: TwoInstances) -> None:
    driver, customer, order = await _carrying(cluster)
    mall = cluster.one.as_(driver["access_token"])
    assert "the cellar door" in str(await mall.do("GET", f"/api/v2/orders/{order}"))
    await mall.do("POST", f"/api/v2/orders/{order}/pickup", {})
    await mall.do("POST", f"/api/v2/orders/{order}/delivery", {})
    user = customer["user"]["id"]
    assert (await deleted(cluster.admin, user))[0] == 204
    await is_over(cluster, customer)
    assert await log_in(cluster.one, customer["email"], PASSWORD) == 401
    assert (await cluster.admin.call("GET", f"/api/v2/users/{user}"))[0] == 404
    assert (await patched(cluster.admin, user, {"name": "Back"}))[0] == 404
    assert (await deleted(cluster.admin, user))[0] == 404
    listed = await cluster.admin.do("GET", "/api/v2/users?limit=100")
    assert user not in {item["id"] for item in listed["items"]}
    number = int(user.removeprefix("usr_"))
    kept = await cluster.database.fetchval("SELECT u::text FROM users u WHERE id = $1", number)
    assert customer["email"] not in kept
    row = await cluster.database.fetchrow(
        "SELECT * FROM orders WHERE id = $1", int(order.removeprefix("ord_"))
    )
    assert (row["customer_id"], row["address"], row["notes"]) == (number, "deleted", None)
    for table in ("orders", "idempotency", "driver_events", "order_events", "users", "sessions"):
        told = await cluster.database.fetchval(f"SELECT string_agg(t::text, '') FROM {table} t")
        for word in (customer["email"], "the cellar door"):
            assert word not in (told or ""), table
    code, said = await cluster.command("verify")
    assert code == 0, said
    body = {"email": customer["email"], "password": PASSWORD, "name": "Somebody else"}
    assert (await cluster.two.call("POST", "/api/v2/auth/register", body))[0] == 201, "the address is free"


# -- the last admin ---------------------------------------------------------------------------------------


async def test_last_admin_cannot_be_banned_demoted_or_deleted_even_by_himself(cluster: TwoInstances) -> None:
    me = (await cluster.admin.do("GET", "/api/v2/me"))["id"]
    number = int(me.removeprefix("usr_"))
    await cluster.database.execute("UPDATE users SET password_hash = 'one' WHERE id = $1", number)
    await cluster.database.execute(
        "UPDATE users SET role = 'customer' WHERE role = 'admin' AND id <> $1", number
    )
    for body in ({"status": "banned"}, {"role": "customer"}, {"role": "driver", "zone_id": cluster.zone}):
        status, problem = await patched(cluster.admin, me, body)
        assert (status, problem["code"]) == (409, "last_admin"), body
    status, problem = await deleted(cluster.admin, me)
    assert (status, problem["code"]) == (409, "last_admin")
    assert (await cluster.admin.call("GET", "/api/v2/users"))[0] == 200, "and is still logged in"


async def test_of_two_admins_who_are_demoted_at_once_one_stays(database_url: str) -> None:
    one, two, watcher = [await asyncpg.connect(database_url) for _ in range(3)]
    made = "INSERT INTO users (email, role, name, password_hash) VALUES ($1, 'admin', 'A', 'x') RETURNING id"
    first, second = [await watcher.fetchval(made, f"a{number}@example.org") for number in range(2)]
    demoted = "UPDATE users SET role = 'customer' WHERE id = $1"
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with one.transaction():
        await one.execute(demoted, first)
        other = asyncio.create_task(two.execute(demoted, second))
        async with asyncio.timeout(10):
            while not other.done() and not await watcher.fetchval(waits):
                continue
    with pytest.raises(asyncpg.CheckViolationError):
        await other
    assert await watcher.fetchval("SELECT id FROM users WHERE role = 'admin'") == second
    with pytest.raises(asyncpg.CheckViolationError):
        await watcher.execute("DELETE FROM users WHERE id = $1", second)
    for connection in (one, two, watcher):
        await connection.close()
