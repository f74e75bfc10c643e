"""Who takes part in a replay: an administrator, drivers and customers, with tokens that stay good."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.kit.client import ApiProblem, Mall
from loadtests.kit.waiting import each
from loadtests.replay.day import Day

# An access token from a login lives ten minutes; it is renewed long before, in seconds.
RENEW_S = 240.0
# Orders that a customer may place in a minute, with room to spare.
ORDERS_PER_MINUTE = 15


class UsersMissing(Exception):
    """Somebody is missing; the message says who."""


@dataclass(slots=True)
class ReplayUser:
    """Somebody with a token.

    Attributes:
        mall: the server, as this person.
        id: such as `usr_3`, or "" where it is not needed.
        refresh: the token that renews the other, or "" when that outlives the replay.
    """

    mall: Mall
    id: str = ""
    refresh: str = ""


@dataclass(frozen=True, slots=True)
class ReplayUsers:
    """All users of a replay, as many drivers as the day has couriers."""

    admin: ReplayUser
    drivers: Sequence[ReplayUser]
    customers: Sequence[ReplayUser]


async def log_in(mall: Mall, email: str, password: str) -> ReplayUser:
    """Somebody who has an account."""
    answer = await mall.as_("").persist("POST", "/api/v2/auth/login", {"email": email, "password": password})
    return ReplayUser(mall.as_(answer["access_token"]), refresh=answer["refresh_token"])


async def sign_up(admin: Mall, role: str, count: int, zone_id: str | None = None) -> list[ReplayUser]:
    """New users over the public API: slow, because every password is hashed twice."""
    made: list[ReplayUser] = []
    run = secrets.token_hex(4)

    async def one(number: int) -> None:
        email, password = f"replay-{run}-{role}-{number}@mall.example", secrets.token_hex(12)
        body = {"email": email, "password": password, "name": f"Replay {role} {number}", "role": role}
        user = await admin.persist("POST", "/api/v2/users", body | ({"zone_id": zone_id} if zone_id else {}))
        person = await log_in(admin, email, password)
        person.id = user["id"]
        made.append(person)

    await each(range(1, count + 1), one)
    return made


def of_role(mall: Mall, users: Iterable[dict[str, Any]], role: str) -> list[ReplayUser]:
    """The users of a role among those that `run.py mint` has made."""
    return [ReplayUser(mall.as_(u["access_token"]), u["id"]) for u in users if u["role"] == role]


def read_minted(path: Path, drivers: int) -> list[dict[str, Any]]:
    """The users in a file that holds what `run.py mint` printed.

    Raises:
        UsersMissing: there are too few of them.
    """
    users = [json.loads(line) for line in path.read_text().splitlines() if line]
    found = Counter(user["role"] for user in users)
    if found["driver"] < drivers or not found["customer"]:
        raise UsersMissing(f"{path}: {drivers} drivers and a customer are needed, there are {dict(found)}")
    return users


def customers_needed(day: Day, speedup: float) -> int:
    """How many customers can place the busiest real minute's orders within the limit of each."""
    times = sorted(order.placed for order in day.orders.values())
    busiest, first = 0, 0
    for last, placed in enumerate(times):
        while placed - times[first] > speedup:
            first += 1
        busiest = max(busiest, last - first + 1)
    return ceil(busiest / ORDERS_PER_MINUTE)


@contextlib.asynccontextmanager
async def fresh_tokens(people: Iterable[ReplayUser]) -> AsyncIterator[None]:
    """Renew the tokens of those who have logged in, until the block ends."""
    mortal = [person for person in people if person.refresh]

    async def renew() -> None:
        while mortal:
            await asyncio.sleep(RENEW_S)
            for person in mortal:
                with contextlib.suppress(ApiProblem, aiohttp.ClientError, OSError, TimeoutError):
                    body = {"refresh_token": person.refresh}
                    answer = await person.mall.as_("").persist("POST", "/api/v2/auth/refresh", body)
                    person.mall.token, person.refresh = answer["access_token"], answer["refresh_token"]

    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(renew(), name="tokens")
        yield
        renewing.cancel()
