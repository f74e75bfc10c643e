"""The log of events, for systems that ask instead of being told, or were away for longer."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BeforeValidator, Field, WithJsonSchema

from api.auth.permissions import READS
from api.contract.fields import Strict
from api.http.operation import Operation, Operations
from api.http.pagination import PAGE_MAX, PAGE_USUAL
from api.http.request import RequestContext, json_response
from api.rest import webhook_answers as shown
from dispatch.domain import ids
from dispatch.jobs.events import TYPES

operations = Operations(Operation)

_TYPES_LENGTH_MAX = 400


def _position(value: object) -> object:
    """The position that an id names; `evt_0` is the beginning."""
    if value == "evt_0":
        return 0
    number = ids.parse_id(ids.EVENT, value) if isinstance(value, str) else None
    if number is None:
        raise ValueError("must be an id such as evt_17; evt_0 is the beginning")
    return number


def _kinds(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    if (
        not isinstance(names, list | tuple)
        or not names
        or len(names) > len(TYPES)
        or not {*names} <= {*TYPES}
    ):
        raise ValueError(f"must be types of events, by commas, such as {TYPES[0]},{TYPES[1]}")
    return tuple(names)


After = Annotated[
    int,
    BeforeValidator(_position),
    WithJsonSchema({"type": "string", "pattern": "^evt_(0|[1-9][0-9]{0,14})$", "maxLength": 21}),
]
_KIND = "|".join(TYPES).replace(".", "[.]")
KindList = Annotated[
    tuple[str, ...],
    BeforeValidator(_kinds),
    WithJsonSchema(
        {"type": "string", "pattern": f"^({_KIND})(,({_KIND})){{0,3}}$", "maxLength": _TYPES_LENGTH_MAX}
    ),
]


class EventsWanted(Strict):
    after: After = 0
    types: KindList | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_USUAL


@operations.declare(
    "events.list",
    "GET",
    "/api/v2/events",
    scope="events:read",
    limit=READS,
    summary="The log of events, in order and without gap",
    note="What webhooks are sent from. Go on with `after=` and `next_after`, also from a page without events; with "
    "`more: false` wait a moment first. `missed: true`: events behind `after` were deleted meanwhile.",
    query=EventsWanted,
    answer=shown.LoggedEventsAnswer,
)
async def get_list(context: RequestContext) -> web.Response:
    wanted = context.query(EventsWanted)
    page = await context.services.webhooks.events(wanted.after, wanted.types or (), wanted.limit)
    return json_response(
        {
            "items": [shown.logged_event(row) for row in page.rows],
            "next_after": ids.public_id(ids.EVENT, page.reached),
            "more": page.reached < page.log_end,
            "missed": wanted.after + 1 < page.log_begin,
        }
    )
