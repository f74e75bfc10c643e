"""What the services over tables are tried on: a real database, actors that note what they are asked, no HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from actors.clock import SystemRandomness
from dispatch.accounts import Accounts
from dispatch.ports import Row
from dispatch.service import Caller
from dispatch.sessions import Sessions
from dispatch.users import Users
from storage.postgres.database import Database

ZONE = 1
HASH = "hash of the first password"
_numbers = itertools.count(1)


class CutOff:
    """Access tokens of an instance: it notes whom it has cut off."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.users: list[int] = []

    def cut_off(self, *, session: str | None = None, user: int | None = None) -> None:
        self.sessions += [] if session is None else [session]
        self.users += [] if user is None else [user]


class Actors:
    """Drivers' actors. `asked` are (verb, driver, key of the command); `then` runs when one is banned."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, str]] = []
        self.then: Callable[[int], Any] | None = None
        self.failures: list[Exception | None] = []

    async def driver(self, number: int, trace: str = "") -> object:
        self.asked.append(("wake", number, ""))
        return None

    async def set_driver(
        self, caller: Caller, number: int, zone_id: int | None, capacity: int | None
    ) -> object:
        self.asked.append((f"set {zone_id} {capacity}", number, caller.key))
        return None

    async def ban_driver(self, caller: Caller, number: int) -> object:
        self.asked.append(("ban", number, caller.key))
        if self.then is not None:
            await self.then(number)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return None

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _, _ in self.asked]


class World:
    """The services and what they stand on. `owner` sees and changes everything."""

    def __init__(self, url: str, owner: Any, database: Database) -> None:
        entropy = SystemRandomness()
        self.url = url
        self.owner = owner
        self.database = database
        self.tokens = CutOff()
        self.actors = Actors()
        self.accounts = Accounts(database, entropy, self.tokens)
        self.sessions = Sessions(database, entropy, self.tokens)
        self.users = Users(database, self.actors, self.tokens)

    def caller(self) -> Caller:
        """An administrator's next command."""
        return Caller("admin", 9, "trace", f"auto:{next(_numbers)}")

    async def customer(self) -> Row:
        """A new customer with the password of HASH."""
        return await self.accounts.register(f"c{next(_numbers)}@mall.example", HASH, "Customer")

    async def driver(self) -> Row:
        """A new driver of the zone."""
        email = f"d{next(_numbers)}@mall.example"
        return await self.users.create(email, HASH, "driver", "Driver", zone_id=ZONE)

    async def session(self, user: Row, network: str = "net") -> str:
        """The id of a new session of the user."""
        opened = await self.sessions.open(user["id"], HASH, network)
        assert opened is not None
        return opened.refresh.session_id

    async def open_sessions(self, user: Row) -> set[str]:
        """Ids of the user's sessions that have not ended."""
        rows = await self.owner.fetch(
            "SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL", user["id"]
        )
        return {row["id"] for row in rows}

    async def hash_of(self, user: Row) -> str | None:
        found: str | None = await self.owner.fetchval(
            "SELECT password_hash FROM users WHERE id = $1", user["id"]
        )
        return found

    async def give_order(self, customer: Row, driver: Row | None) -> None:
        """An open order of the customer, carried by the driver."""
        number = 1000 + next(_numbers)
        await self.owner.execute(
            "INSERT INTO orders (id, shard, zone_id, store_id, customer_id, driver_id, status, mode, ready_at,"
            " created_at, updated_at, dropoff_lat, dropoff_lon, address, payment, total_minor, currency, pickups)"
            " VALUES ($1, 7, 1, 1, $2, $3, $4, 'waves', now(), now(), now(), 1, 2, 'door', 'cash', 900, 'EUR',"
            " '[[1, \"S\", 1, 2, 1, [0]]]')",
            number,
            customer["id"],
            None if driver is None else driver["id"],
            "confirmed" if driver is None else "assigned",
        )
        if driver is not None:
            await self.owner.execute(
                "INSERT INTO assignment (order_id, driver_id, slot, since) VALUES ($1, $2, 0, now())",
                number,
                driver["id"],
            )


async def waits_for_a_lock(owner: Any) -> None:
    """Return when a statement in this database waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await owner.fetchval(waits):
        continue
