"""Webhooks: endpoints that get events, by admins."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from api import json_schema as s
from api.auth.permissions import READS, WRITES
from api.contract.fields import EventId, StoreId, Strict, Time, ZoneId, plain, text_schema
from api.contract.merge_patch import Patch, absent
from api.contract.problems import Fault, Problem
from api.http.conditional import WRITE_PROBLEMS, missed, row_tag, wanted_tags, written
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, Truth, list_page
from api.http.request import RequestContext, json_response
from api.outbound.endpoint_urls import LENGTH_MAX, fault_of
from api.outbound.signing import new_secret, shown_secret
from api.rest import webhook_answers as shown
from dispatch.domain import ids
from dispatch.errors import NothingToReplay, UnknownFilter
from dispatch.jobs.events import TYPES
from dispatch.ports import Row
from dispatch.webhooks.administration import Owner

operations = Operations(Operation)


def _known_type(value: object) -> object:
    if isinstance(value, str) and value not in TYPES:
        raise ValueError(f"must be a type of events, such as {TYPES[0]}")
    return value


EventKind = Annotated[str, BeforeValidator(_known_type), WithJsonSchema(s.one_of(*TYPES))]
Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LENGTH_MAX),
    plain(1, LENGTH_MAX, kind="code"),
    WithJsonSchema({**s.text(LENGTH_MAX, "^https?://"), "minLength": 1}),
]
Description = Annotated[
    str, StringConstraints(min_length=1, max_length=200), plain(1, 200), text_schema(1, 200)
]
Kinds = Annotated[list[EventKind], Field(max_length=len(TYPES))]
Zones = Annotated[list[ZoneId], Field(max_length=100)]
Stores = Annotated[list[StoreId], Field(max_length=100)]
OnRefused = Literal["skip", "stop"]


class NewWebhook(Strict):
    url: Url
    description: Description | None = None
    types: Kinds = Field(default_factory=list)
    zone_ids: Zones = Field(default_factory=list)
    store_ids: Stores = Field(default_factory=list)
    on_refused: OnRefused = "skip"


class WebhookChange(Patch):
    url: Url = absent()
    description: Description | None = absent()
    types: Kinds = absent()
    zone_ids: Zones = absent()
    store_ids: Stores = absent()
    on_refused: OnRefused = absent()
    disabled: Literal[True] = absent()


class ReplayWish(Strict):
    first: EventId | None = None
    last: EventId | None = None
    since: Time | None = None
    types: Kinds = Field(default_factory=list)


class Enabling(Strict):
    begin: Literal["cursor", "now"] = Field("cursor", alias="from")


class WebhookPage(Page):
    disabled: Truth | None = None


class AttemptPage(Page):
    failed: Truth | None = None

    @property
    def order(self) -> str:
        """The newest first."""
        return "-id"


@operations.declare(
    "webhooks.create",
    "POST",
    "/api/v2/webhooks",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Create an endpoint that gets events",
    note="It gets the events from now on, in order, at least once, signed as Standard Webhooks has it. Empty filters "
    "mean all. `secret` is shown here alone. An event that was refused five times (400, 413, 415, 422) is kept as a "
    "dead letter, or with `on_refused: stop` the endpoint is stopped there.",
    body=NewWebhook,
    body_example={"url": "https://shop.example/hooks", "types": ["order.created", "order.delivered"]},
    answer=shown.MadeWebhookAnswer,
    status=201,
    etag="sent",
    problems=("webhooks_not_configured", "too_many_webhooks"),
)
async def create(context: RequestContext) -> web.Response:
    b, secret = await context.body(NewWebhook), new_secret()
    _check_url(context, b.url)
    try:
        row = await context.services.webhooks.add(Owner(user_id=context.who.number), secret, b.model_dump())
    except UnknownFilter as error:
        raise _unknown(error) from None
    headers = {"Location": f"/api/v2/webhooks/whk_{row['id']}", "ETag": row_tag(row)}
    return json_response({**shown.webhook(row), "secret": shown_secret(secret)}, 201, headers)


@operations.declare(
    "webhooks.list",
    "GET",
    "/api/v2/webhooks",
    scope="webhooks:manage",
    limit=READS,
    summary="Endpoints with their states",
    query=WebhookPage,
    answer=shown.WebhooksAnswer,
    problems=LIST_PROBLEMS,
)
async def get_list(context: RequestContext) -> web.Response:
    page = context.query(WebhookPage)
    return await list_page(context, context.services.webhooks.endpoints, page, shown.webhook)


@operations.declare(
    "webhooks.get",
    "GET",
    "/api/v2/webhooks/{id}",
    scope="webhooks:manage",
    limit=READS,
    summary="An endpoint with its state",
    note="`behind` counts events up to the end of the log, also those that it does not want.",
    answer=shown.WebhookAnswer,
    etag="sent",
)
async def get(context: RequestContext) -> web.Response:
    row = await context.services.webhooks.endpoint(context.number(ids.WEBHOOK))
    if row is None:
        raise Problem("not_found")
    return json_response(shown.webhook(row), 200, {"ETag": row_tag(row)})


@operations.declare(
    "webhooks.update",
    "PATCH",
    "/api/v2/webhooks/{id}",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Change an endpoint, or disable it",
    note="Another URL is tried at once. `disabled: true` stops it; POST to its `/enabling` goes on.",
    body=WebhookChange,
    body_example={"types": ["order.delivered"]},
    answer=shown.WebhookAnswer,
    problems=WRITE_PROBLEMS,
    etag="sent",
)
async def update(context: RequestContext) -> web.Response:
    """Change an endpoint in the version that If-Match names."""
    number, tags, b = context.number(ids.WEBHOOK), wanted_tags(context), await context.body(WebhookChange)
    if b.sets("url"):
        _check_url(context, b.url)
    try:
        row = await context.services.webhooks.change(number, tags, b.given())
    except UnknownFilter as error:
        raise _unknown(error) from None
    if row is None:
        return await _missed(context, number)
    return written(shown.webhook(row), row_tag(row))


@operations.declare(
    "webhooks.delete",
    "DELETE",
    "/api/v2/webhooks/{id}",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Delete an endpoint with its dead letters and replays",
    status=204,
    problems=WRITE_PROBLEMS,
)
async def delete(context: RequestContext) -> web.Response:
    """Delete an endpoint in the version that If-Match names."""
    number, tags = context.number(ids.WEBHOOK), wanted_tags(context)
    await context.no_body()
    if not await context.services.webhooks.remove(number, tags):
        return await _missed(context, number)
    return web.Response(status=204)


@operations.declare(
    "webhooks.rotate",
    "POST",
    "/api/v2/webhooks/{id}/secret",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Give an endpoint another secret",
    note="It is shown here alone. The one before signs along for a day; an older one ends at once.",
    answer=shown.WebhookSecretAnswer,
    problems=("webhooks_not_configured",),
)
async def rotate(context: RequestContext) -> web.Response:
    number, secret = context.number(ids.WEBHOOK), new_secret()
    await context.no_body()
    row = _found(await context.services.webhooks.replace_secret(number, secret))
    until = shown.webhook(row)["old_secret_until"]
    return json_response({"secret": shown_secret(secret), "old_secret_until": until})


@operations.declare(
    "webhooks.test",
    "POST",
    "/api/v2/webhooks/{id}/test",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Have a test event sent to an endpoint",
    note="A signed `ping`, once, also to an endpoint that is disabled. Its outcome is among the attempts.",
    answer=shown.WebhookTestAnswer,
    status=202,
)
async def test(context: RequestContext) -> web.Response:
    number = context.number(ids.WEBHOOK)
    await context.no_body()
    ping = f"ping_{context.services.entropy.trace()}"
    found = await context.services.webhooks.ping(number, ping)
    if found is None:
        raise Problem("not_found")
    return json_response({"message_id": found}, 202)


@operations.declare(
    "webhooks.replay",
    "POST",
    "/api/v2/webhooks/{id}/replay",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Have a part of the log sent to an endpoint again",
    note="From `first` or `since` to `last`, or all up to what it has reached: the same bytes under the same ids, with "
    "`webhook-replay: 1`. New events go on meanwhile.",
    body=ReplayWish,
    body_example={"first": "evt_1", "last": "evt_500"},
    answer=shown.ReplayAnswer,
    status=202,
    problems=("too_many_webhooks",),
)
async def replay(context: RequestContext) -> web.Response:
    number, b = context.number(ids.WEBHOOK), await context.optional_body(ReplayWish)
    try:
        made = await context.services.webhooks.replay(
            number, context.who.number, from_pos=b.first, to_pos=b.last, since=b.since, types=b.types
        )
    except NothingToReplay:
        pointer = "#/since" if b.since is not None else "#/first"
        fault = Fault("body", pointer, "range", "there is no event from here on that the endpoint has passed")
        raise Problem("invalid", faults=[fault]) from None
    return json_response(shown.replay(_found(made)), 202)


@operations.declare(
    "webhooks.enable",
    "POST",
    "/api/v2/webhooks/{id}/enabling",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Enable an endpoint, from its cursor on or from now on",
    note="One that is enabled and waits after failures is tried at once.",
    body=Enabling,
    body_example={"from": "cursor"},
    answer=shown.WebhookAnswer,
)
async def enable(context: RequestContext) -> web.Response:
    number, b = context.number(ids.WEBHOOK), await context.optional_body(Enabling)
    row = await context.services.webhooks.enable(number, from_now=b.begin == "now")
    return json_response(shown.webhook(_found(row)))


@operations.declare(
    "webhooks.attempts",
    "GET",
    "/api/v2/webhooks/{id}/attempts",
    scope="webhooks:manage",
    limit=READS,
    summary="Requests to an endpoint in the last 30 days, the newest first",
    query=AttemptPage,
    answer=shown.WebhookAttemptsAnswer,
    problems=LIST_PROBLEMS,
)
async def attempts(context: RequestContext) -> web.Response:
    number, page = await _endpoint(context), context.query(AttemptPage)
    load = context.services.webhooks.attempts
    return await list_page(context, load, page, shown.attempt, endpoint_id=number)


@operations.declare(
    "webhooks.dead_letters",
    "GET",
    "/api/v2/webhooks/{id}/dead-letters",
    scope="webhooks:manage",
    limit=READS,
    summary="Events that an endpoint has refused for good",
    query=Page,
    answer=shown.DeadLettersAnswer,
    problems=LIST_PROBLEMS,
)
async def dead_letters(context: RequestContext) -> web.Response:
    number, page = await _endpoint(context), context.query(Page)
    load = context.services.webhooks.dead_letters
    return await list_page(context, load, page, shown.dead_letter, endpoint_id=number)


@operations.declare(
    "webhooks.retry",
    "POST",
    "/api/v2/webhooks/{id}/dead-letters/{event}/retry",
    scope="webhooks:manage",
    limit=WRITES,
    summary="Have a dead letter sent again",
    note="It is a replay of one event; when that is delivered, the dead letter is gone.",
    answer=shown.ReplayAnswer,
    status=202,
    problems=("too_many_webhooks",),
)
async def retry(context: RequestContext) -> web.Response:
    number, pos = context.number(ids.WEBHOOK), context.number(ids.EVENT, "event")
    await context.no_body()
    try:
        made = await context.services.webhooks.retry_dead_letter(number, context.who.number, pos)
    except NothingToReplay:
        raise Problem("not_found") from None
    return json_response(shown.replay(_found(made)), 202)


def _check_url(context: RequestContext, url: str) -> None:
    fault = fault_of(url, context.services.settings.webhook_networks)
    if fault is not None:
        raise Problem("invalid", faults=[Fault("body", "#/url", "not_allowed", fault)])


def _unknown(error: UnknownFilter) -> Problem:
    prefix = ids.ZONE if error.field == "zone_ids" else ids.STORE
    detail = f"there is no {ids.public_id(prefix, error.number)}"
    return Problem("invalid", faults=[Fault("body", f"#/{error.field}", "unknown", detail)])


def _found(row: Row | None) -> Row:
    if row is None:
        raise Problem("not_found")
    return row


async def _endpoint(context: RequestContext) -> int:
    """The number of the endpoint in the path, which exists."""
    number = context.number(ids.WEBHOOK)
    _found(await context.services.webhooks.endpoint(number))
    return number


async def _missed(context: RequestContext, number: int) -> web.Response:
    there = await context.services.webhooks.endpoint(number)
    return missed(context, None if there is None else row_tag(there))
