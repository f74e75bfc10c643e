"""What operators put into a database: users in bulk, keys that follow each other."""

from __future__ import annotations

import itertools

import pytest

from dispatch.credentials import Credentials, RotationPending
from dispatch.provisioning import Provisioning, RoleDiffers
from tests.integration.services.world import ZONE, World


def _users(*names: str) -> list[tuple[str, str]]:
    return [(f"{name}@mint.example", name) for name in names]


async def test_users_are_minted_with_sessions_and_keep_their_rows(world: World) -> None:
    provisioning, numbers = Provisioning(world.database), itertools.count(1)

    def draw() -> str:
        return f"mnt_{next(numbers)}"

    first = await provisioning.mint("driver", _users("a", "b"), draw, 60.0, zone=ZONE, capacity=2)
    again = await provisioning.mint("driver", _users("b", "c"), draw, 60.0, zone=ZONE, capacity=2)
    assert again[0][0]["id"] == first[1][0]["id"]
    assert [session for _, session in first + again] == ["mnt_1", "mnt_2", "mnt_3", "mnt_4"]
    assert await world.owner.fetchval("SELECT count(*) FROM drivers WHERE capacity = 2") == 3


async def test_nobody_is_minted_when_one_has_another_role(world: World) -> None:
    provisioning = Provisioning(world.database)
    await provisioning.mint("customer", _users("b"), lambda: "mnt_1", 60.0, zone=None, capacity=1)
    with pytest.raises(RoleDiffers) as refused:
        await provisioning.mint("admin", _users("a", "b"), lambda: "mnt_2", 60.0, zone=None, capacity=1)
    assert refused.value.email == "b@mint.example"
    assert await world.accounts.by_address("a@mint.example") is None


async def test_rotation_waits_for_the_one_before_unless_a_key_has_leaked(world: World) -> None:
    credentials = Credentials(world.database)
    [first] = await credentials.signing_keys(lambda: ("first", "pem"))
    assert [row["kid"] for row in await credentials.signing_keys(lambda: ("never", "pem"))] == [first["kid"]]
    signs_at = await credentials.rotate("second", "pem", lead_s=600.0, lives_s=60.0, at_once=False)
    with pytest.raises(RotationPending) as refused:
        await credentials.rotate("third", "pem", lead_s=600.0, lives_s=60.0, at_once=False)
    assert (refused.value.kid, refused.value.signs_at) == ("second", signs_at)
    await credentials.rotate("third", "pem", lead_s=0.0, lives_s=0.0, at_once=True)
    assert [row["kid"] for row in await credentials.signing_keys(lambda: ("never", "pem"))] == ["third"]


async def test_revocations_are_the_sessions_that_ended_lately_and_the_banned(world: World) -> None:
    user = await world.customer()
    kept, ended, long_ago = [await world.session(user) for _ in range(3)]
    await world.sessions.end(ended)
    await world.owner.execute(
        "UPDATE sessions SET revoked_at = now() - interval '1 h' WHERE id = $1", long_ago
    )
    await world.owner.execute("UPDATE users SET status = 'banned' WHERE id = $1", user["id"])
    found = await Credentials(world.database).revocations(900.0)
    assert kept not in found["sessions"]
    assert (found["sessions"], found["users"]) == ([ended], [user["id"]])
