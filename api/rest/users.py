"""Users, for admins: creation in any role, changes, bans, deletion, a driver's zone and capacity."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field, model_validator

from api.auth.permissions import READS, WRITES
from api.contract.fields import Email, Name, Password, Strict, ZoneId
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Fault, Problem
from api.http.conditional import WRITE_PROBLEMS, missed, row_tag, tagged, wanted_tags, written
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import UserAnswer, UsersAnswer
from dispatch.domain import ids
from dispatch.domain.driver import CAPACITY_MAX
from dispatch.domain.ids import public_id
from dispatch.errors import StillCarrying, UnknownZone
from storage.email_addresses import normal_form

operations = Operations(Operation)
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
    """Query of users: `email` is a whole address, in any case."""

    role: Role | None = None
    status: Status | None = None
    email: Annotated[Email, AfterValidator(normal_form)] | None = None


@operations.declare(
    "users.create",
    "POST",
    "/api/v2/users",
    scope="users:admin",
    limit=WRITES,
    summary="Create a user of any role",
    body=NewUser,
    body_example={
        "email": "max@mall.example",
        "password": "correct horse battery",
        "name": "Max",
        "role": "driver",
        "zone_id": "zon_1",
        "capacity": 2,
    },
    answer=UserAnswer,
    answer_example={"role": "driver", "driver_id": "drv_2", "zone_id": "zon_1", "capacity": 2},
    status=201,
    problems=("email_taken",),
    etag="sent",
)
async def create(context: RequestContext) -> web.Response:
    """Create a user of any role; a driver gets its row in the same transaction."""
    body = await context.body(NewUser)
    password = await context.services.passwords.hash(body.password)
    args = body.email, password, body.role, body.name
    try:
        row = await context.services.users.create(*args, zone_id=body.zone_id, capacity=body.capacity)
    except UnknownZone:
        raise _no_zone() from None
    location = f"/api/v2/users/{public_id(ids.USER, row['id'])}"
    return json_response(serializers.user(row), 201, {"Location": location, "ETag": row_tag(row)})


def _no_zone() -> Problem:
    return Problem(
        "invalid",
        faults=[Fault("body", "#/zone_id", "unknown", "there is no such zone; GET /api/v2/zones lists them")],
    )


@operations.declare(
    "users.get",
    "GET",
    "/api/v2/users/{id}",
    scope="users:admin",
    limit=READS,
    summary="A user",
    answer=UserAnswer,
    etag="compared",
)
async def get(context: RequestContext) -> web.Response:
    row = await context.services.users.user(context.number(ids.USER))
    return tagged(context, serializers.user(row), row_tag(row))


@operations.declare(
    "users.list",
    "GET",
    "/api/v2/users",
    scope="users:admin",
    limit=READS,
    summary="Users",
    query=UserPage,
    answer=UsersAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def get_list(context: RequestContext) -> web.Response:
    return await list_page(context, context.services.users.page, context.query(UserPage), serializers.user)


@operations.declare(
    "users.update",
    "PATCH",
    "/api/v2/users/{id}",
    scope="users:admin",
    limit=WRITES,
    summary="Change or ban a user",
    body=UserChange,
    body_example={"name": "Max", "capacity": 3},
    answer=UserAnswer,
    problems=(*WRITE_PROBLEMS, "email_taken", "last_admin", "user_busy"),
    etag="sent",
)
async def update(context: RequestContext) -> web.Response:
    """Change a user in the version that If-Match names.

    A new address, role or status ends the sessions; a user who is banned, or is no driver any more, goes offline. The
    last admin keeps the role.
    """
    number, tags, body = context.number(ids.USER), wanted_tags(context), await context.body(UserChange)
    users = context.services.users
    row = await users.user(number)
    await _check(context, row, body)
    if not body.changes:
        if tags is not None and str(row["version"]) not in tags:
            return missed(context, row_tag(row))
        return written(serializers.user(row), row_tag(row))
    try:
        changed = await users.change(context.caller, row, tags, body.given())
    except StillCarrying:
        raise Problem("user_busy", "The driver carries orders.") from None
    if changed is None:
        return missed(context, row_tag(await users.user(number)))
    return written(serializers.user(changed), row_tag(changed))


@operations.declare(
    "users.delete",
    "DELETE",
    "/api/v2/users/{id}",
    scope="users:admin",
    limit=WRITES,
    summary="Delete a user: nothing of the person is left",
    status=204,
    problems=(*WRITE_PROBLEMS, "last_admin", "user_busy"),
)
async def delete(context: RequestContext) -> web.Response:
    """Delete a user in the version that If-Match names: only a number remains, to which finished orders refer.

    It is refused while orders are under way, and for the last admin.
    """
    number, tags = context.number(ids.USER), wanted_tags(context)
    await context.no_body()
    users = context.services.users
    row = await users.user(number)
    if await users.delete(context.caller, row, tags) is None:
        return missed(context, row_tag(await users.user(number)))
    return web.Response(status=204)


async def _check(context: RequestContext, row: Any, body: UserChange) -> None:
    """Refuse members that do not fit the user, before any change."""
    role = body.role if body.sets("role") else row["role"]
    for name in ("zone_id", "capacity"):
        if body.sets(name) and role != "driver":
            fault = Fault("body", f"#/{name}", "role", "leave it out: only a driver has zone_id and capacity")
            raise Problem("invalid", faults=[fault])
    if role == "driver" and row["zone_id"] is None and not body.sets("zone_id"):
        raise Problem(
            "invalid", faults=[Fault("body", "#/zone_id", "missing", "is needed: a driver has a zone")]
        )
    if body.sets("zone_id") and await context.services.catalogue.zone(body.zone_id) is None:
        raise _no_zone()
