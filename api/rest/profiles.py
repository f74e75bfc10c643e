"""Profiles: how a user is reached, in which language, time zone and hours. Stores have contacts.

A profile stands beside the account, so version 1 and the lists of users do not show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any

from aiohttp import web
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.auth.permissions import READS, WRITES
from api.contract.contact_fields import DialledNumber, Language, LocalTime, TimeZone
from api.contract.fields import Email, Strict
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Problem
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest.answers import Named, StoreId, UserId
from dispatch.domain import ids
from dispatch.domain.ids import public_id

operations = Operations(Operation)

_EXAMPLE = {
    "phone": "+4930123456",
    "locale": "de",
    "time_zone": "Europe/Berlin",
    "quiet_hours": {"begin": "22:00", "end": "07:00"},
}


class QuietHours(Strict):
    """Local times between which notices that can wait do so. They may go over midnight."""

    begin: LocalTime
    end: LocalTime


class ProfileChange(Patch):
    """A phone or quiet hours of null remove them."""

    phone: DialledNumber | None = absent()
    locale: Language = absent()
    time_zone: TimeZone = absent()
    quiet_hours: QuietHours | None = absent()


class StoreContactChange(Strict):
    email: Email | None
    phone: DialledNumber | None
    locale: Language


_Mailbox = Annotated[str, WithJsonSchema(s.EMAIL)]
_Number = Annotated[str, WithJsonSchema(s.text(16, r"^\+[1-9][0-9]{6,14}$"))]
_Language = Annotated[str, WithJsonSchema(s.one_of("en", "de"))]
_Clock = Annotated[str, WithJsonSchema(s.text(5, "^[0-9]{2}:[0-9]{2}$"))]


class QuietShown(TypedDict):
    begin: _Clock
    end: _Clock


class ProfileAnswer(TypedDict):
    id: UserId
    email: _Mailbox
    name: Named
    phone: _Number | None
    locale: _Language
    time_zone: Annotated[str, WithJsonSchema(s.text(64, "^[A-Za-z0-9_+/-]+$"))]
    quiet_hours: QuietShown | None


class StoreContactAnswer(TypedDict):
    store_id: StoreId
    email: _Mailbox | None
    phone: _Number | None
    locale: _Language


def profile(row: Mapping[str, Any]) -> ProfileAnswer:
    """The profile of a row of users."""
    begin, end = row["quiet_from"], row["quiet_to"]
    quiet: QuietShown | None = None
    if begin is not None:
        quiet = {"begin": begin.strftime("%H:%M"), "end": end.strftime("%H:%M")}
    return {
        "id": public_id(ids.USER, row["id"]),
        "email": row["email"],
        "name": row["name"],
        "phone": row["phone"],
        "locale": row["locale"],
        "time_zone": row["time_zone"],
        "quiet_hours": quiet,
    }


async def _changed(context: RequestContext, number: int) -> web.Response:
    body = await context.body(ProfileChange)
    changes = body.given()
    if body.quiet_hours is not None:
        quiet = body.quiet_hours
        changes["quiet_hours"] = (time.fromisoformat(quiet.begin), time.fromisoformat(quiet.end))
    return json_response(profile(await context.services.contacts.change_profile(number, changes)))


@operations.declare(
    "auth.profile",
    "GET",
    "/api/v2/me/profile",
    scope="account:read:own",
    limit=READS,
    summary="How the caller is reached",
    answer=ProfileAnswer,
)
async def get_own(context: RequestContext) -> web.Response:
    """The caller's phone, language, time zone and quiet hours."""
    return json_response(profile(await context.services.contacts.profile(context.who.number)))


@operations.declare(
    "auth.change_profile",
    "PATCH",
    "/api/v2/me/profile",
    scope="account:write:own",
    limit=WRITES,
    summary="Change how the caller is reached",
    note="Quiet hours hold back stock alerts and digests; never what is urgent or about security.",
    body=ProfileChange,
    body_example=_EXAMPLE,
    answer=ProfileAnswer,
)
async def change_own(context: RequestContext) -> web.Response:
    """Change the given fields of the caller's profile."""
    return await _changed(context, context.who.number)


@operations.declare(
    "users.profile",
    "GET",
    "/api/v2/users/{id}/profile",
    scope="users:admin",
    limit=READS,
    summary="How a user is reached",
    answer=ProfileAnswer,
)
async def get(context: RequestContext) -> web.Response:
    """A user's profile."""
    return json_response(profile(await context.services.contacts.profile(context.number(ids.USER))))


@operations.declare(
    "users.change_profile",
    "PATCH",
    "/api/v2/users/{id}/profile",
    scope="users:admin",
    limit=WRITES,
    summary="Change how a user is reached",
    body=ProfileChange,
    body_example=_EXAMPLE,
    answer=ProfileAnswer,
)
async def change(context: RequestContext) -> web.Response:
    """Change the given fields of a user's profile."""
    return await _changed(context, context.number(ids.USER))


def _contact(row: Mapping[str, Any] | None) -> StoreContactAnswer:
    if row is None:
        raise Problem("not_found")
    return {
        "store_id": public_id(ids.STORE, row["id"]),
        "email": row["contact_email"],
        "phone": row["contact_phone"],
        "locale": row["locale"],
    }


@operations.declare(
    "stores.contact",
    "GET",
    "/api/v2/stores/{id}/contact",
    scope="catalog:write",
    limit=READS,
    summary="How a store gets its notices",
    answer=StoreContactAnswer,
)
async def store_contact(context: RequestContext) -> web.Response:
    """A store's address and number for notices."""
    return json_response(_contact(await context.services.contacts.store_contact(context.number(ids.STORE))))


@operations.declare(
    "stores.set_contact",
    "PUT",
    "/api/v2/stores/{id}/contact",
    scope="catalog:write",
    limit=WRITES,
    summary="Set how a store gets its notices: new orders, short stock",
    body=StoreContactChange,
    body_example={"email": "bakery@mall.example", "phone": "+4930123456", "locale": "de"},
    answer=StoreContactAnswer,
)
async def set_store_contact(context: RequestContext) -> web.Response:
    """Set a store's address and number; null: no notices on that channel."""
    number, body = context.number(ids.STORE), await context.body(StoreContactChange)
    row = await context.services.contacts.set_store_contact(number, body.email, body.phone, body.locale)
    return json_response(_contact(row))
