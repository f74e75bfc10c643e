"""Users as administrators change them: create, change, ban, delete. A driver's actor changes with its account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from actors.errors import NotProcessed, OutcomeUnknown
from actors.messages import ActorId
from actors.shards import shard_of
from dispatch.accounts import find_user
from dispatch.errors import EmailTaken, LastAdmin, StillCarrying, UnknownZone, UserBusy
from dispatch.ports import AccessTokens, Queries, QueryPool, Row
from dispatch.service import Caller
from storage.email_addresses import normal_form
from storage.errors import Duplicate, MissingReference, WriteRefused
from storage.postgres.list_queries import After

T = TypeVar("T")

# Makes the caller of one command, with a new key: a repeated key would get the first command's answer.
MakeCaller = Callable[[], Caller]


class DriverActors(Protocol):
    """Messages to the actors of drivers; `Dispatch` implements them.

    Methods raise ActorError (actors/errors.py).
    """

    async def driver(self, number: int, trace: str = "") -> object:
        """The driver from its actor, which is activated."""

    async def set_driver(
        self, caller: Caller, number: int, zone_id: int | None, capacity: int | None
    ) -> object:
        """Change zone and capacity. None: no change."""

    async def ban_driver(self, caller: Caller, number: int) -> object:
        """Take the driver offline. The feed session ends."""


def driver_item(number: int, zone_id: int | None, capacity: int) -> dict[str, Any]:
    """A driver's parameters for the query `create_drivers`."""
    return {"id": number, "shard": shard_of(ActorId("driver", number)), "zone": zone_id, "capacity": capacity}


class Users:
    """Users of any role.

    A conditional write takes `tags`: the versions that the caller has seen, or None for any. It returns None if the
    user has none of them.
    """

    def __init__(self, database: QueryPool, drivers: DriverActors, tokens: AccessTokens) -> None:
        self._database = database
        self._drivers = drivers
        self._tokens = tokens
        # Changes of accounts with a driver, one at a time on this instance: see `_with_driver`.
        self._driver_changes = asyncio.Lock()

    async def user(self, number: int) -> Row:
        """A user, with a driver's zone and capacity.

        Raises:
            NoSuchUser: there is none, or it was deleted.
        """
        return await find_user(self._database, number)

    async def page(self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int) -> list[Any]:
        """A page of users. Filters: role, status, email in its normal form."""
        return await self._database.page("user_list", filters, sort, after, limit)

    async def create(
        self,
        email: str,
        password_hash: str,
        role: str,
        name: str,
        *,
        zone_id: int | None = None,
        capacity: int | None = None,
    ) -> Row:
        """Create a user. A driver's row is created in the same transaction.

        Raises:
            EmailTaken: another account has this address.
            UnknownZone: the driver's zone does not exist.
        """
        try:
            async with self._database.transaction() as transaction:
                args = email, password_hash, role, name, normal_form(email)
                row = await transaction.row("user_insert", *args)
                if role == "driver":
                    await transaction.rows("create_drivers", [driver_item(row["id"], zone_id, capacity or 1)])
        except Duplicate:
            raise EmailTaken from None
        except MissingReference:
            raise UnknownZone from None
        made: Row = await self._database.row("user_get", row["id"])
        return made

    async def change(
        self, caller: MakeCaller, seen: Row, tags: Sequence[str] | None, changes: Mapping[str, Any]
    ) -> Row | None:
        """Change the given fields of a user.

        With another address, role or status the user's sessions end. A driver that is banned or gets another role goes
        offline.

        Args:
            caller: makes the administrator's commands to the driver's actor.
            seen: the user as returned by `user`; `changes` were checked against its role.
            tags: versions, see the class.
            changes: name, status, email, role, zone_id, capacity.

        Raises:
            EmailTaken: another account has this address.
            LastAdmin: the last administrator cannot be banned, demoted or deleted.
            StillCarrying: a driver with carried orders cannot get another role.
            NotProcessed: the role has changed since `seen`; nothing was done.
            OutcomeUnknown: the account is banned, but it is not known whether its driver is offline.
        """
        work = partial(self._change, caller, seen, tags, changes)
        changed = await self._with_driver(seen, caller, work)
        if changed is not None and changes.get("status") == "banned":
            self._tokens.cut_off(user=seen["id"])
            if seen["role"] == "driver":
                await self._ban_again(caller, seen["id"])
        return changed

    async def delete(self, caller: MakeCaller, seen: Row, tags: Sequence[str] | None) -> Row | None:
        """Delete a user. Only a number stays, to which finished orders refer.

        Returns:
            The user as it was.

        Raises:
            LastAdmin: the last administrator cannot be banned, demoted or deleted.
            UserBusy: orders of the user are under way.
            NotProcessed: the role has changed since `seen`; nothing was done.
        """
        return await self._with_driver(seen, caller, partial(self._delete, caller, seen, tags))

    async def _with_driver(self, seen: Row, caller: MakeCaller, work: Callable[[], Awaitable[T]]) -> T:
        """Change the account and its driver's actor, both or neither.

        The row's lock is held until the actor has committed. A request that waits for the lock holds a connection that
        the actor may need. So an instance does this for one driver at a time, and activates the actor first.

        Raises:
            EmailTaken, LastAdmin: a constraint of the database refuses it.
        """
        try:
            if seen["zone_id"] is None:  # was never a driver
                return await work()
            await self._drivers.driver(seen["id"], caller().trace)
            async with self._driver_changes:
                return await work()
        except Duplicate:
            raise EmailTaken from None
        except WriteRefused:
            raise LastAdmin from None

    async def _change(
        self, caller: MakeCaller, seen: Row, tags: Sequence[str] | None, changes: Mapping[str, Any]
    ) -> Row | None:
        number = seen["id"]
        async with self._database.transaction() as transaction:
            row = await _lock(transaction, seen, tags)
            if row is None:
                return None
            role = changes.get("role", row["role"])
            ended = await _end_sessions(transaction, row, changes)
            email = changes.get("email")
            form = None if email is None else normal_form(email)
            told = changes.get("name"), changes.get("status"), email, form, changes.get("role")
            await transaction.rows("user_update", number, *told)
            if role == "driver":
                await self._change_driver(transaction, caller, row, changes)
            banned = changes.get("status") == "banned"
            if row["drives"] and (banned or (row["role"] == "driver" and role != "driver")):
                await self._drivers.ban_driver(caller(), number)
                if role != "driver" and (await transaction.row("user_carries", number))[0]:
                    raise StillCarrying
            changed: Row = await transaction.row("user_get", number)
        self._cut_off(ended)
        return changed

    async def _change_driver(
        self, transaction: Queries, caller: MakeCaller, row: Row, changes: Mapping[str, Any]
    ) -> None:
        """Create the driver of a user that becomes one, or change a driver's zone and capacity."""
        zone_id, capacity = changes.get("zone_id"), changes.get("capacity")
        if not row["drives"]:
            item = driver_item(row["id"], zone_id, 1 if capacity is None else capacity)
            await transaction.rows("create_drivers", [item])
        elif "zone_id" in changes or "capacity" in changes:
            await self._drivers.set_driver(caller(), row["id"], zone_id, capacity)

    async def _delete(self, caller: MakeCaller, seen: Row, tags: Sequence[str] | None) -> Row | None:
        number = seen["id"]
        async with self._database.transaction() as transaction:
            row = await _lock(transaction, seen, tags)
            if row is None:
                return None
            if row["drives"]:
                await self._drivers.ban_driver(caller(), number)
            ended = await transaction.rows("sessions_revoke_user", number)
            if (await transaction.row("user_anonymise", number))[0] == "busy":
                raise UserBusy
        self._cut_off(ended)
        return row

    async def _ban_again(self, caller: MakeCaller, number: int) -> None:
        """Ban the driver again after the account was closed: it may have gone online in between."""
        try:
            await self._drivers.ban_driver(caller(), number)
        except NotProcessed:
            # The rest of the request was done, so the answer must not be "not processed".
            raise OutcomeUnknown from None

    def _cut_off(self, ended: list[Row]) -> None:
        for session in ended:
            self._tokens.cut_off(session=session["id"])


async def _lock(transaction: Queries, seen: Row, tags: Sequence[str] | None) -> Row | None:
    """Read and lock the row; None if it has none of these tags.

    Raises:
        NotProcessed: its role has changed since it was decided how to change the user.
    """
    row: Row | None = await transaction.row("user_lock", seen["id"], tags)
    if row is not None and (row["role"], row["drives"]) != (seen["role"], seen["zone_id"] is not None):
        raise NotProcessed
    return row


async def _end_sessions(transaction: Queries, row: Row, changes: Mapping[str, Any]) -> list[Row]:
    """End the user's sessions if the change requires it. Returns those that have ended."""
    other_role = changes.get("role", row["role"]) != row["role"]
    other_email = "email" in changes and changes["email"] != row["email"]
    if other_role or other_email or changes.get("status") == "banned":
        return await transaction.rows("sessions_revoke_user", row["id"])
    return []
