"""Opening of an operator's socket: as the drivers' feed is opened, with another scope and subprotocol."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from api.auth.access_tokens import Principal
from api.auth.permissions import TICKETS
from api.feed.feed_socket import FeedSocket
from api.feed.frames import HelloFrame
from api.feed.handshake import TicketAnswer, admit_socket, check_upgrade, issue_ticket
from api.http.operation import Operation, Operations
from api.http.request import RequestContext
from api.live.viewing import serve_viewing
from api.subscriptions import close_codes

operations = Operations(Operation)

PROTOCOL = "mallops.v1"
SCOPE = "console:watch"
# Sockets of operators on an instance, and of one user: tabs, and old ones of a network that has changed.
SOCKETS_MAX, SOCKETS_OF_USER_MAX = 300, 30
_open: Counter[int] = Counter()


@operations.declare(
    "console.ticket",
    "POST",
    "/api/v2/console/tickets",
    scope=SCOPE,
    limit=TICKETS,
    summary="A one-use ticket for the operators' socket",
    note="For browsers, which cannot send headers with a WebSocket. Send it in `hello` while it lives.",
    answer=TicketAnswer,
    status=201,
)
async def ticket(context: RequestContext) -> web.Response:
    """Issue a one-use ticket for an operator's page."""
    return await issue_ticket(context)


@operations.declare(
    "console.live",
    "GET",
    "/api/v2/console/live",
    scope=None,
    limit=None,
    streams=True,
    quiet=True,
    summary="Open the operators' socket, a WebSocket",
    note="Subprotocol `mallops.v1`, with an access token of the scope `console:watch`, or a ticket in the first frame.",
    own_query=True,
    status=101,
    problems=(
        "unknown_subprotocol",
        "token_in_url",
        "unauthenticated",
        "forbidden",
        "forbidden_origin",
        "upgrade_required",
        "draining",
        "rate_limited",
    ),
)
async def live(context: RequestContext) -> web.StreamResponse:
    """Upgrade, authenticate the operator, and serve the socket until it ends."""
    check_upgrade(context, PROTOCOL)
    return await admit_socket(context, PROTOCOL, SCOPE, "Only operators may look.", _serve)


async def _serve(context: RequestContext, ws: FeedSocket, principal: Principal, hello: HelloFrame) -> None:
    del hello
    number = principal.number
    if _open.total() >= SOCKETS_MAX or _open[number] >= SOCKETS_OF_USER_MAX:
        await ws.close(code=close_codes.TOO_MANY, message=b"too_many_connections")
        return
    _open[number] += 1
    try:
        await serve_viewing(ws, context.services, principal, context.trace)
    finally:
        _open[number] -= 1
        if not _open[number]:
            del _open[number]
