"""Tracking of an order: its history, and its live stream (server-sent events)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import Field, StringConstraints, WithJsonSchema
from typing_extensions import TypedDict

from actors.errors import ActorError
from actors.shards import shard_of
from api import json_schema as s
from api.auth.access_tokens import PUSHED_BLIND_S
from api.auth.permissions import READS, TICKETS
from api.auth.stream_tickets import LENGTH_MAX, PATTERN
from api.contract.fields import Strict
from api.contract.problems import Fault, Problem
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.pipeline import finish
from api.http.request import RequestContext, json_response
from api.ratelimit.headers import mark
from api.rest import serializers
from api.rest.answers import EventsAnswer, Seconds
from api.rest.orders import may_see, visible_order
from api.subscriptions.hub import Stream
from dispatch.domain.order import TERMINAL, Order
from dispatch.order_actor import order_ref

operations = Operations(Operation)

# Entries are small, and most orders have a dozen.
HISTORY_MAX = 1000
# Proxies cut silent connections after a minute or less.
BEAT_S = 15.0
_EVENT_ID = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class EventPage(Page):
    limit: Annotated[int, Field(ge=1, le=HISTORY_MAX)] = 100


@operations.declare(
    "orders.events",
    "GET",
    "/api/v2/orders/{id}/events",
    scope="orders:read:own",
    limit=READS,
    summary="History of an order",
    query=EventPage,
    answer=EventsAnswer,
    problems=("order_not_found", *LIST_PROBLEMS),
    etag="compared",
)
async def events(context: RequestContext) -> web.Response:
    """The history of an order, oldest first."""
    page, order, role = context.query(EventPage), await visible_order(context), context.who.role
    return await list_page(
        context,
        context.services.records.order_history,
        page,
        lambda row: serializers.event(row, role),
        order_id=order.id,
    )


class TrackQuery(Strict):
    """Query of the stream. The pipeline has checked `ticket`."""

    ticket: Annotated[str, StringConstraints(max_length=LENGTH_MAX, pattern=PATTERN)] | None = None


class OrderStreamAnswer(str):
    """The events as text; api/docs/response_schemas.py has its schema, and those of the events."""

    __slots__ = ()


@operations.declare(
    "orders.track",
    "GET",
    "/api/v2/orders/{id}/track",
    scope="orders:read:own",
    limit=READS,
    streams=True,
    ticketed=True,
    summary="Follow an order live",
    note="Server-sent events: `order` (an Order) with the whole order, then `change` (an OrderChange) for each"
    " change, until it is finished or the client leaves. The `id` of an event is the order's version. Who"
    " comes back with `Last-Event-ID` is not told again what was seen, and gets 204 when the order is "
    "finished: an EventSource stops there. EventSource cannot send a token: it sends a `ticket`, and asks"
    " for another after a 401.",
    query=TrackQuery,
    answer=OrderStreamAnswer,
    media="text/event-stream",
    problems=("order_not_found", "too_many_watchers"),
    takes=("Last-Event-ID",),
    also=((204, "The order is finished, and `Last-Event-ID` was its last event: there is nothing to come."),),
)
async def track(context: RequestContext) -> web.StreamResponse:
    """Stream an order: its present state, then every change, until it is finished or the client disconnects.

    A client that has seen the end gets 204, which makes an EventSource stop.
    """
    context.query(TrackQuery)
    last, order = _last_seen(context), await visible_order(context)
    if order.status in TERMINAL and last == order.version:
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    number = order.id
    stream = context.services.hub.open_stream(shard_of(order_ref(number)))
    try:
        seen = await context.services.dispatch.watch(
            number, stream.address, context.who.number, context.trace
        )
        if seen is None:
            raise Problem("too_many_watchers")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        finish(response, context.trace)
        if context.allowance is not None:
            mark(response.headers, context.allowance)
        await response.prepare(context.request)
        if seen.version == last:
            await response.write(b": nothing new\n\n")
        else:
            await response.write(
                frame("order", seen.version, serializers.order(seen, context.who.role, context.who.number))
            )
        with suppress(ActorError):  # an answer that has begun cannot become a problem, so it ends
            await _follow(context, response, stream, seen)
        await response.write_eof()
    except ConnectionError:
        return web.Response(status=499)
    finally:
        context.services.hub.close_stream(stream)
        context.services.dispatch.unwatch(number, stream.address)
    return response


class StreamTicketAnswer(TypedDict):
    ticket: Annotated[str, WithJsonSchema(s.text(LENGTH_MAX, PATTERN))]
    expires_in: Seconds


@operations.declare(
    "orders.track_ticket",
    "POST",
    "/api/v2/orders/{id}/track/tickets",
    scope="orders:read:own",
    limit=TICKETS,
    summary="A ticket for the live stream, for browsers",
    note="Send it as `ticket` in the query of the stream. It opens the stream of this order only, as often as "
    "the EventSource comes back, for `expires_in` seconds, and dies with the session.",
    answer=StreamTicketAnswer,
    status=201,
    problems=("order_not_found",),
)
async def track_ticket(context: RequestContext) -> web.Response:
    """Issue a ticket for the stream of an order, for a browser's EventSource."""
    order = await visible_order(context)
    await context.no_body()
    ticket, good_s = context.services.stream_tickets.issue(context.who, order.id)
    shown: StreamTicketAnswer = {"ticket": ticket, "expires_in": good_s}
    return json_response(shown, 201)


def _last_seen(context: RequestContext) -> int | None:
    """The version in Last-Event-ID, which EventSource sends when it reconnects.

    Raises:
        Problem: it is not a version.
    """
    given = context.request.headers.getall("Last-Event-ID", [])
    if not given or given == [""]:
        return None
    if len(given) > 1 or _EVENT_ID.fullmatch(given[0]) is None:
        fault = Fault(
            "header", "Last-Event-ID", "format", "must be the `id` of an event of this stream, such as 4"
        )
        raise Problem("invalid", faults=[fault])
    return int(given[0])


async def _follow(
    context: RequestContext, response: web.StreamResponse, stream: Stream, order: Order
) -> None:
    """Write changes until the order is finished, the stream fell behind, or the caller may not see it any more."""
    number, version, status = order.id, order.version, order.status
    while status not in TERMINAL and not context.services.draining:
        change: dict[str, Any] | None = {}
        try:
            async with asyncio.timeout(BEAT_S):
                change = await stream.next()
        except TimeoutError:
            await response.write(b": beat\n\n")
        if change is None:
            return  # the client reconnects and gets the present state
        # Each wait that ends without a change subscribes again: the order's actor may have a new owner.
        seen = await (
            context.services.dispatch.order(number, context.carried)
            if change
            else context.services.dispatch.watch(number, stream.address, context.who.number, context.carried)
        )
        if seen is None:
            return
        if context.services.tokens.is_blind(PUSHED_BLIND_S):
            return
        if context.services.tokens.is_over(context.who) or not await may_see(context, seen):
            return
        if change and change["version"] > version:
            version, status = change["version"], change["status"]
            await response.write(frame("change", version, serializers.change(change)))
        elif not change and seen.version > version:
            # The read finds a change whose notice was lost.
            version, status = seen.version, seen.status
            await response.write(
                frame("order", version, serializers.order(seen, context.who.role, context.who.number))
            )


def frame(event: str, number: int, data: Mapping[str, Any]) -> bytes:
    """An event in wire form."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.encode(), number, orjson.dumps(data))
