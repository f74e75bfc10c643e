"""Provisioning of a database without a running instance: first rows, sample data, users in bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.values import frozen
from dispatch.errors import EmailTaken
from dispatch.ports import QueryPool, Row
from dispatch.users import driver_item
from storage.email_addresses import normal_form
from storage.errors import Duplicate

# Name, latitude, longitude, preparation in seconds, and products as (name, price in cents, stock).
SampleStore = tuple[str, float, float, int, tuple[tuple[str, int, int | None], ...]]


class RoleDiffers(Exception):
    """A user to be created in bulk exists with another role. Nothing was changed."""

    def __init__(self, email: str) -> None:
        super().__init__(email)
        self.email = email


@frozen
class FirstUser:
    """User of a new database."""

    email: str
    password_hash: str
    name: str


class Provisioning:
    """Writes the first rows of a database, and users in bulk."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def meta(self) -> Row:
        """Values that were fixed when the database was created."""
        row: Row = await self._database.row("cluster_meta")
        return row

    async def wall_clock_s(self) -> float:
        """Seconds since 1970 by the clock of the database."""
        return float(await self._database.value("wall_clock"))

    async def has_admin(self) -> bool:
        """True if there is an administrator."""
        return bool(await self._database.value("admin_exists"))

    async def add_admin(self, user: FirstUser) -> None:
        """Create an administrator.

        Raises:
            EmailTaken: another account has this address.
        """
        args = user.email, user.password_hash, "admin", user.name, normal_form(user.email)
        try:
            await self._database.rows("user_insert", *args)
        except Duplicate:
            raise EmailTaken from None

    async def has_zone(self) -> bool:
        """True if there is any zone."""
        return bool(await self._database.value("zone_exists"))

    async def is_zone(self, number: int) -> bool:
        """True if there is this zone."""
        return await self._database.row("zone_get", number) is not None

    async def add_sample(
        self,
        zone_name: str,
        stores: Sequence[SampleStore],
        radius_m: int | None,
        customer: FirstUser,
        driver: FirstUser,
    ) -> None:
        """Create a sample mall, with a customer and a driver of capacity two, all or nothing."""
        async with self._database.transaction() as transaction:
            settings = zone_name, "waves", 3, 30, None, 50_000, 600, 3600, None, 300, None, None, None, None
            zone = await transaction.row("zone_insert", *settings)
            for name, lat, lon, preparation_s, products in stores:
                args = zone["id"], name, lat, lon, preparation_s, radius_m, False
                store = await transaction.row("store_insert", *args)
                for product, price, stock in products:
                    await transaction.rows("product_insert", store["id"], product, price, "EUR", stock, None)
            users = [
                await transaction.row(
                    "user_insert", u.email, u.password_hash, role, u.name, normal_form(u.email)
                )
                for role, u in (("customer", customer), ("driver", driver))
            ]
            await transaction.rows("create_drivers", [driver_item(users[1]["id"], zone["id"], 2)])

    async def mint(
        self,
        role: str,
        users: Sequence[tuple[str, str]],
        draw_session: Callable[[], str],
        lives_s: float,
        *,
        zone: int | None,
        capacity: int,
    ) -> list[tuple[Row, str]]:
        """Create users by (address, name), each with a session of this length. Returns rows and sessions by number.

        A user that exists keeps its row. Drivers are made with zone and capacity.

        Raises:
            RoleDiffers: a user exists with another role.
        """
        emails, names = [email for email, _ in users], [name for _, name in users]
        forms = [normal_form(email) for email in emails]
        async with self._database.transaction() as transaction:
            rows = await transaction.rows("user_insert_many", emails, role, names, forms)
            for row in rows:
                if row["role"] != role:
                    raise RoleDiffers(row["email"])
            if role == "driver" and zone is not None:
                items = [driver_item(row["id"], zone, capacity) for row in rows if row["made"]]
                await transaction.rows("create_drivers", items)
            sessions = {row["id"]: draw_session() for row in rows}
            await transaction.rows("session_insert_many", list(sessions.values()), list(sessions), lives_s)
        return [(row, sessions[row["id"]]) for row in sorted(rows, key=lambda r: int(r["id"]))]
