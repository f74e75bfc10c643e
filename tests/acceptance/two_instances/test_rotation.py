"""A new signing key while two instances run: published at once, in use later, and not one request fails."""

from __future__ import annotations

import asyncio
import base64
import json

import jwt

from loadtests.kit.client import Mall
from tests.acceptance.two_instances.cluster import PASSWORD, TwoInstances
from tests.support.waiting import seconds_until

# Longer than any machine takes for the steps in between; the test itself lets the time come.
LEAD_S = "600"


def _kid(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=="))["kid"])


async def _published(mall: Mall) -> set[str]:
    status, answer, headers = await mall.call("GET", "/.well-known/jwks.json")
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=300")
    assert all(key.keys() == {"kty", "crv", "alg", "use", "kid", "x"} for key in answer["keys"])
    return {key["kid"] for key in answer["keys"]}


async def _both(cluster: TwoInstances, count: int) -> set[str]:
    """The keys, once both instances publish so many."""

    async def agree() -> bool:
        one, two = await _published(cluster.one), await _published(cluster.two)
        return one == two and len(one) == count

    await seconds_until(agree)
    return await _published(cluster.one)


async def _login(mall: Mall, email: str) -> str:
    answer = await mall.do("POST", "/api/v2/auth/login", {"email": email, "password": PASSWORD})
    return str(answer["access_token"])


async def test_new_key_is_published_then_signs_then_the_old_one_goes(cluster: TwoInstances) -> None:
    person = await cluster.person()
    [old] = await _both(cluster, 1)
    seen: list[int] = []
    over = asyncio.Event()

    async def ask(mall: Mall) -> None:
        while not over.is_set():
            seen.append((await mall.as_(person["access_token"]).call("GET", "/api/v2/me"))[0])

    async with asyncio.TaskGroup() as tasks:
        for mall in (cluster.one, cluster.two):
            tasks.create_task(ask(mall))
        code, said = await cluster.command("rotate-key", MALL_KEY_LEAD_S=LEAD_S)
        assert code == 0, said
        [new] = await _both(cluster, 2) - {old}
        assert f"key {new} is published" in said
        assert _kid(await _login(cluster.one, person["email"])) == old, "it waits"
        code, said = await cluster.command("rotate-key", MALL_KEY_LEAD_S=LEAD_S)
        assert (code, "published already" in said) == (1, True)

        await cluster.database.execute("UPDATE signing_key SET signs_at = now() WHERE kid = $1", new)

        async def signs() -> bool:
            tokens = [await _login(mall, person["email"]) for mall in (cluster.one, cluster.two)]
            for token in tokens:  # whichever key it is, the other instance knows it
                for mall in (cluster.one, cluster.two):
                    seen.append((await mall.as_(token).call("GET", "/api/v2/me"))[0])
            return {_kid(token) for token in tokens} == {new}

        await seconds_until(signs, 20)
        over.set()
    assert set(seen) == {200}
    await cluster.database.execute(
        "UPDATE signing_key SET retires_at = now() - interval '1 second' WHERE kid = $1", old
    )
    assert await _both(cluster, 1) == {new}
    for mall in (cluster.one, cluster.two):
        assert (await mall.as_(person["access_token"]).call("GET", "/api/v2/me"))[0] == 401
    assert await cluster.database.fetchval("SELECT count(*) FROM signing_key") == 1


async def test_old_key_verifies_until_its_last_token_and_the_last_minted_one_have_died(
    cluster: TwoInstances,
) -> None:
    await cluster.servers[0].mint("customer", 1, "--hours", "5")
    assert (await cluster.command("rotate-key", MALL_KEY_LEAD_S="600"))[0] == 0
    row = await cluster.database.fetchrow(
        "SELECT extract(epoch FROM a.retires_at - b.signs_at) AS over_s,"
        " extract(epoch FROM b.signs_at - now()) AS lead_s,"
        " extract(epoch FROM a.retires_at - now()) AS lives_s FROM signing_key a, signing_key b"
        " WHERE a.retires_at IS NOT NULL AND b.retires_at IS NULL"
    )
    assert 590 < row["lead_s"] <= 600
    assert row["over_s"] >= 610
    assert 4.9 * 3600 < row["lives_s"] < 5.1 * 3600
    [minted] = await cluster.servers[0].mint("customer", 1, "--prefix", "later")
    newest = await cluster.database.fetchval("SELECT kid FROM signing_key WHERE retires_at IS NULL")
    assert _kid(minted["access_token"]) == newest, "it lives longer than the key before"


async def test_key_that_has_leaked_is_replaced_within_seconds(cluster: TwoInstances) -> None:
    person = await cluster.person()
    code, said = await cluster.command("rotate-key", "--now")
    assert code == 0, said

    async def dead() -> bool:
        return (await cluster.two.as_(person["access_token"]).call("GET", "/api/v2/me"))[0] == 401

    await seconds_until(dead, 15)
    [only] = await _both(cluster, 1)
    refreshed = await cluster.one.do(
        "POST", "/api/v2/auth/refresh", {"refresh_token": person["refresh_token"]}
    )
    assert _kid(refreshed["access_token"]) == only
    assert (await cluster.two.as_(refreshed["access_token"]).call("GET", "/api/v2/me"))[0] == 200


async def test_anybody_can_check_a_token_with_what_is_published(cluster: TwoInstances) -> None:
    person = await cluster.person()
    _, answer, _ = await cluster.two.call("GET", "/.well-known/jwks.json")
    [key] = [jwt.PyJWK(key) for key in answer["keys"] if key["kid"] == _kid(person["access_token"])]
    claims = jwt.decode(person["access_token"], key, algorithms=["EdDSA"], audience="mall-api", issuer="mall")
    assert claims["sub"] == person["user"]["id"]
    assert claims["exp"] - claims["iat"] == 600
    assert {"client_id", "jti", "sid"} <= claims.keys()
