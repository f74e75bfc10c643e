"""Users, by admins: create of any role, change, ban, delete, a driver's zone and capacity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import AfterValidator, Field, model_validator

from actors.errors import NotProcessed, OutcomeUnknown
from actors.messages import ActorId
from actors.shards import shard_of
from api.contract.fields import Email, Name, Password, Strict, ZoneId
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Fault, Problem
from api.http.conditional import missed, row_tag, tagged, wanted_tags, written
from api.http.pagination import Page, list_page
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import serializers
from dispatch.domain import ids
from dispatch.domain.driver import CAPACITY_MAX
from dispatch.domain.ids import public_id
from storage.email_addresses import normal_form
from storage.errors import Duplicate, MissingReference, Refused
from storage.postgres.database import Transaction

T = TypeVar("T")

# Of an account that nobody can find any more.
DELETED = "deleted"
Role = Literal["customer", "driver", "admin"]
Status = Literal["active", "banned"]
Capacity = Annotated[int, Field(ge=1, le=CAPACITY_MAX)]


class NewUser(Strict):
    email: Email
    password: Password
    name: Name
    role: Role
    zone_id: ZoneId | None = None
    capacity: Capacity | None = None

    @model_validator(mode="after")
    def _fits_role(self) -> NewUser:
        if self.role == "driver" and self.zone_id is None:
            raise ValueError("a driver needs a zone_id")
        if self.role != "driver" and (self.zone_id is not None or self.capacity is not None):
            raise ValueError("only a driver has zone_id and capacity")
        return self


class UserChange(Patch):
    """With another address, role or status the user's sessions end. Who becomes a driver needs a zone."""

    name: Name = absent()
    status: Status = absent()
    email: Email = absent()
    role: Role = absent()
    zone_id: ZoneId = absent()
    capacity: Capacity = absent()


class UserPage(Page):
    """`email` is a whole address, in capitals or not."""

    role: Role | None = None
    status: Status | None = None
    email: Annotated[Email, AfterValidator(normal_form)] | None = None


async def create(context: RequestContext) -> web.Response:
    """A user of any role; a driver gets its row in the same transaction."""
    body = await context.body(NewUser)
    password = await context.services.passwords.hash(body.password)
    try:
        async with context.services.database.transaction() as transaction:
            row = await transaction.row(
                "user_insert", body.email, password, body.role, body.name, normal_form(body.email)
            )
            if body.role == "driver":
                item = driver_item(row["id"], body.zone_id, body.capacity or 1)
                await transaction.rows("create_drivers", [item])
    except Duplicate:
        raise Problem("email_taken") from None
    except MissingReference:
        raise _no_zone() from None
    shown = await context.services.database.row("user_get", row["id"])
    location = f"/api/v2/users/{public_id(ids.USER, row['id'])}"
    return json_response(serializers.user(shown), 201, {"Location": location, "ETag": row_tag(shown)})


def driver_item(number: int, zone_id: int | None, capacity: int) -> dict[str, Any]:
    """What create_drivers() takes."""
    return {"id": number, "shard": shard_of(ActorId("driver", number)), "zone": zone_id, "capacity": capacity}


def _no_zone() -> Problem:
    return Problem(
        "invalid",
        faults=[Fault("body", "#/zone_id", "unknown", "there is no such zone; GET /api/v2/zones lists them")],
    )


async def get(context: RequestContext) -> web.Response:
    row = await _row(context, context.number(ids.USER))
    return tagged(context, serializers.user(row), row_tag(row))


async def _row(context: RequestContext, number: int) -> Any:
    row = await context.services.database.row("user_get", number)
    if row is None or row["status"] == DELETED:
        raise Problem("not_found")
    return row


async def get_list(context: RequestContext) -> web.Response:
    return await list_page(context, "user_list", context.query(UserPage), serializers.user)


async def update(context: RequestContext) -> web.Response:
    """Change a user, of the version that If-Match names. With another address, role or status the sessions end; who is
    banned, or is a driver no more, goes offline. The last admin stays one.
    """
    number, tags, body = context.number(ids.USER), wanted_tags(context), await context.body(UserChange)
    row = await _row(context, number)
    await _check(context, row, body)
    if not body.changes:
        if tags is not None and str(row["version"]) not in tags:
            return missed(context, row_tag(row))
        return written(serializers.user(row), row_tag(row))
    changed = await _with_driver(context, row, partial(_change, context, row, tags, body))
    if changed is None:
        return missed(context, row_tag(await _row(context, number)))
    if body.status == "banned":
        context.services.tokens.cut_off(user=number)
        if row["role"] == "driver":
            await _ban_again(context, number)
    return written(serializers.user(changed), row_tag(changed))


async def delete(context: RequestContext) -> web.Response:
    """Delete a user, of the version that If-Match names: nothing of the person is left but a number, to which finished
    orders refer. Refused while orders are under way, and for the last admin.
    """
    number, tags = context.number(ids.USER), wanted_tags(context)
    await context.no_body()
    row = await _row(context, number)
    if await _with_driver(context, row, partial(_delete, context, row, tags)) is None:
        return missed(context, row_tag(await _row(context, number)))
    return web.Response(status=204)


async def _check(context: RequestContext, row: Any, body: UserChange) -> None:
    """Refuse what does not fit the user, before anything is done."""
    role = body.role if body.sets("role") else row["role"]
    for name in ("zone_id", "capacity"):
        if body.sets(name) and role != "driver":
            fault = Fault("body", f"#/{name}", "role", "leave it out: only a driver has zone_id and capacity")
            raise Problem("invalid", faults=[fault])
    if role == "driver" and row["zone_id"] is None and not body.sets("zone_id"):
        raise Problem(
            "invalid", faults=[Fault("body", "#/zone_id", "missing", "is needed: a driver has a zone")]
        )
    if body.sets("zone_id") and await context.services.database.row("zone_get", body.zone_id) is None:
        raise _no_zone()


async def _with_driver(context: RequestContext, row: Any, work: Callable[[], Awaitable[T]]) -> T:
    """Change the account, and have the driver's actor do its part: both or neither.

    The row's lock is held until the actor has committed. Whoever waits for the lock holds a connection that
    the actor may need, so an instance does this for one driver at a time, and wakes the actor before.

    Raises:
        Problem: last_admin, email_taken, user_busy.
    """
    try:
        if row["zone_id"] is None:  # never was a driver
            return await work()
        await context.services.dispatch.driver(row["id"], context.trace)
        async with context.services.driver_changes:
            return await work()
    except Duplicate:
        raise Problem("email_taken") from None
    except Refused:
        raise Problem("last_admin") from None


async def _change(context: RequestContext, seen: Any, tags: list[str] | None, body: UserChange) -> Any:
    """The changed row, or None when there was none with such a tag."""
    number = seen["id"]
    async with context.services.database.transaction() as transaction:
        row = await _locked(transaction, seen, tags)
        if row is None:
            return None
        role = body.role if body.sets("role") else row["role"]
        other = role != row["role"] or (body.sets("email") and body.email != row["email"])
        ended = (
            await transaction.rows("sessions_revoke_user", number) if other or body.status == "banned" else []
        )
        email = body.email if body.sets("email") else None
        form = None if email is None else normal_form(email)
        await transaction.rows("user_update", number, body.name, body.status, email, form, body.role)
        if role == "driver" and not row["drives"]:
            item = driver_item(number, body.zone_id, body.capacity if body.sets("capacity") else 1)
            await transaction.rows("create_drivers", [item])
        elif role == "driver" and (body.sets("zone_id") or body.sets("capacity")):
            await context.services.dispatch.set_driver(context.caller(), number, body.zone_id, body.capacity)
        if row["drives"] and (body.status == "banned" or (row["role"] == "driver" and role != "driver")):
            await context.services.dispatch.ban_driver(context.caller(), number)
            if role != "driver" and (await transaction.row("user_carries", number))[0]:
                raise Problem("user_busy", "The driver carries orders.")
        changed = await transaction.row("user_get", number)
    for session in ended:
        context.services.tokens.cut_off(session=session["id"])
    return changed


async def _delete(context: RequestContext, seen: Any, tags: list[str] | None) -> Any:
    """The row as it was, or None when there was none with such a tag."""
    number = seen["id"]
    async with context.services.database.transaction() as transaction:
        row = await _locked(transaction, seen, tags)
        if row is None:
            return None
        if row["drives"]:
            await context.services.dispatch.ban_driver(context.caller(), number)
        ended = await transaction.rows("sessions_revoke_user", number)
        if (await transaction.row("user_anonymise", number))[0] == "busy":
            raise Problem("user_busy")
    for session in ended:
        context.services.tokens.cut_off(session=session["id"])
    return row


async def _locked(transaction: Transaction, seen: Any, tags: list[str] | None) -> Any:
    """The row, locked; None when there is none with such a tag.

    Raises:
        NotProcessed: it is of another role than a moment ago, when it was decided how to change it.
    """
    row = await transaction.row("user_lock", seen["id"], tags)
    if row is not None and (row["role"], row["drives"]) != (seen["role"], seen["zone_id"] is not None):
        raise NotProcessed
    return row


async def _ban_again(context: RequestContext, number: int) -> None:
    """Once more after the account was closed, because the driver may have come back online in between."""
    try:
        await context.services.dispatch.ban_driver(context.caller(), number)
    except NotProcessed:
        # The rest of the request was done, so the answer must not say that nothing was.
        raise OutcomeUnknown from None


ROUTES = (
    Route("users.list", "GET", "/api/v2/users", get_list, query=True),
    Route("users.create", "POST", "/api/v2/users", create),
    Route("users.get", "GET", "/api/v2/users/{id}", get),
    Route("users.update", "PATCH", "/api/v2/users/{id}", update),
    Route("users.delete", "DELETE", "/api/v2/users/{id}", delete),
)
