"""Users, by admins: create of any role, ban, a driver's zone and capacity."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, model_validator

from actors.messages import ActorId
from actors.shards import shard_of
from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import Email, Name, Password, Strict, ZoneId
from api.problems import Fault, Problem
from api.rest.paging import Page, page_of
from dispatch.domain import ids
from dispatch.domain.driver import CAPACITY_MAX
from dispatch.domain.ids import public_id
from storage.errors import Duplicate, MissingReference

Role = Literal["customer", "driver", "admin"]
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


class UserChange(Strict):
    name: Name | None = None
    status: Literal["active", "banned"] | None = None
    zone_id: ZoneId | None = None
    capacity: Capacity | None = None


class UserPage(Page):
    role: Role | None = None


async def create(call: Call) -> web.Response:
    """A user of any role; a driver gets its row in the same transaction."""
    body = await call.body(NewUser)
    password = await call.office.passwords.hash(body.password)
    try:
        async with call.office.database.transaction() as transaction:
            row = await transaction.row("user_insert", body.email, password, body.role, body.name)
            if body.role == "driver":
                shard = shard_of(ActorId("driver", row["id"]))
                item = {"id": row["id"], "shard": shard, "zone": body.zone_id, "capacity": body.capacity or 1}
                await transaction.rows("create_drivers", [item])
    except Duplicate:
        raise Problem("email_taken") from None
    except MissingReference:
        raise _no_zone() from None
    shown = await call.office.database.row("user_get", row["id"])
    location = f"/api/v2/users/{public_id(ids.USER, row['id'])}"
    return json_response(present.user(shown), 201, {"Location": location})


def _no_zone() -> Problem:
    return Problem("invalid", faults=[Fault("body", "#/zone_id", "unknown", "there is no such zone")])


async def get(call: Call) -> web.Response:
    return json_response(present.user(await _row(call, call.number(ids.USER))))


async def _row(call: Call, number: int) -> Any:
    row = await call.office.database.row("user_get", number)
    if row is None:
        raise Problem("not_found")
    return row


async def get_list(call: Call) -> web.Response:
    page = call.query(UserPage)
    rows = await call.office.database.rows("user_list", page.after(0), page.limit + 1, page.role)
    return json_response(page_of(rows, page.limit, present.user))


async def update(call: Call) -> web.Response:
    """Change a user. A ban ends its sessions and, for a driver, takes it offline."""
    number, body = call.number(ids.USER), await call.body(UserChange)
    database, dispatch = call.office.database, call.office.dispatch
    row = await _row(call, number)
    if body.zone_id is not None or body.capacity is not None:
        if row["role"] != "driver":
            fault = Fault("body", "#/zone_id", "role", "only a driver has zone_id and capacity")
            raise Problem("invalid", faults=[fault])
        if body.zone_id is not None and await database.row("zone_get", body.zone_id) is None:
            raise _no_zone()
        await dispatch.set_driver(call.caller(), number, body.zone_id, body.capacity)
    banned = body.status == "banned"
    if banned and row["role"] == "driver":
        # Before the account is closed, so that a failure here leaves nothing half done; and after it,
        # because the driver may have come back online in between.
        await dispatch.ban_driver(call.caller(), number)
    async with database.transaction() as transaction:
        if body.name is not None or body.status is not None:
            await transaction.rows("user_update", number, body.name, body.status)
        if banned:
            await transaction.rows("sessions_revoke_user", number)
    if banned:
        call.office.tokens.cut_off(user=number)
        if row["role"] == "driver":
            await dispatch.ban_driver(call.caller(), number)
    return json_response(present.user(await _row(call, number)))


ROUTES = (
    Route("users.list", "GET", "/api/v2/users", get_list, query=True),
    Route("users.create", "POST", "/api/v2/users", create),
    Route("users.get", "GET", "/api/v2/users/{id}", get),
    Route("users.update", "PATCH", "/api/v2/users/{id}", update),
)
