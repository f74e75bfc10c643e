"""Opening of a feed: version, subprotocol, origin, and authentication by a bearer header or a ticket in `hello`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

import orjson
import structlog
from aiohttp import WSMsgType, web
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from actors.errors import ActorError, NoSuchActor
from api import json_schema as s
from api.auth.access_tokens import Principal
from api.auth.permissions import TICKETS, Access, allows
from api.contract.problems import Problem
from api.feed import frames
from api.feed.feed_socket import FeedSocket
from api.feed.origins import REFUSED, may_open
from api.feed.session import Session
from api.feed.socket_class import socket_class
from api.http.operation import Operation, Operations
from api.http.pipeline import UNSEEN, finish, identify
from api.http.request import RequestContext, json_response
from api.rest.answers import Seconds
from api.subscriptions import close_codes
from api.transport.errors import forget_frames
from storage.errors import StorageError
from storage.redis.tickets import TICKET_S

operations = Operations(Operation)

log = structlog.get_logger()

PROTOCOL = "malldrive.v1"
SCOPE = "feed:open:own"
# From the upgrade to the complete first frame. A bad network loses the first packet, and the next.
HELLO_S = 10.0
_TOKEN_NAMES = frozenset({"token", "access_token", "ticket", "authorization", "jwt"})


class TicketAnswer(TypedDict):
    ticket: Annotated[str, WithJsonSchema(s.text(100, "^tkt_[A-Za-z0-9_-]+$"))]
    expires_in: Seconds


@operations.declare(
    "feed.ticket",
    "POST",
    "/api/v2/realtime/tickets",
    scope="feed:open:own",
    limit=TICKETS,
    summary="A one-use ticket for the feed",
    note="For browsers, which cannot send headers with a WebSocket. Send it in `hello` while it lives.",
    answer=TicketAnswer,
    status=201,
)
async def ticket(context: RequestContext) -> web.Response:
    """Issue a one-use ticket for a browser, which sends it in `hello`."""
    return await issue_ticket(context)


async def issue_ticket(context: RequestContext) -> web.Response:
    """A one-use ticket for a socket of the caller."""
    await context.no_body()
    who = context.who
    claims: dict[str, object] = {
        "role": who.role,
        "number": who.number,
        "session": who.session,
        "expires_at": context.services.tokens.dated(who.expires_at),
    }
    value = await context.services.tickets.issue(claims)
    shown: TicketAnswer = {"ticket": value, "expires_in": TICKET_S}
    return json_response(shown, 201)


def check_upgrade(context: RequestContext, protocol: str) -> None:
    """Refuse a bad request before the upgrade, while it can still get an HTTP answer.

    Raises:
        Problem: the code of the check that failed.
    """
    headers = context.request.headers
    if any(name.lower() in _TOKEN_NAMES for name in context.request.query):
        raise Problem("token_in_url", "Send the Authorization header, or a ticket in the first frame.")
    if context.request.query:
        raise Problem("malformed_request", "A socket takes no query parameters.")
    if headers.get("Upgrade", "").lower() != "websocket" or headers.get("Sec-WebSocket-Version") != "13":
        raise Problem("upgrade_required", headers={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
    offered = [part.strip() for part in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if protocol not in offered:
        raise Problem("unknown_subprotocol", f"Offer {protocol}.")
    if not may_open(context.request, context.services.settings.cors_origins):
        raise Problem("forbidden_origin", REFUSED)
    if context.services.draining:
        raise Problem("draining")
    if context.services.tokens.is_blind():
        raise Problem("unavailable", UNSEEN)


@operations.declare(
    "feed.open",
    "GET",
    "/api/v2/drivers/feed",
    scope=None,
    limit=None,
    streams=True,
    quiet=True,
    summary="Open the drivers' feed, a WebSocket",
    note="Subprotocol `malldrive.v1`, with an access token of the scope `feed:open`, or a ticket in the first "
    "frame. `/api/v2/asyncapi.json` describes the frames.",
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
async def open_feed(context: RequestContext) -> web.StreamResponse:
    """Upgrade, authenticate the driver, and serve the socket until it ends."""
    check_upgrade(context, PROTOCOL)
    return await admit_socket(context, PROTOCOL, SCOPE, "Only drivers have a feed.", _greeted)


# Serves a socket whose user is known from now on.
Serve = Callable[[RequestContext, FeedSocket, Principal, frames.HelloFrame], Awaitable[None]]


async def admit_socket(
    context: RequestContext, protocol: str, scope: str, others: str, serve: Serve
) -> web.StreamResponse:
    """Upgrade, authenticate, and serve the socket until it ends; `others` is said to users without the scope."""
    principal = _admit(context, scope, others)
    # Deflate costs 90 KB a socket and saves nothing on small frames: it is never negotiated.
    ws = socket_class(fast=context.services.settings.fast_path == "on")(
        protocols=(protocol,),
        compress=False,
        max_msg_size=frames.FRAME_BYTES_MAX,
        autoping=False,
        timeout=2.0,
    )
    finish(ws, context.trace)
    try:
        await ws.prepare(context.request)
    except ConnectionError:
        return web.Response(status=499)  # the client left before the upgrade
    except ValueError:  # the key is not ASCII: aiohttp lets base64's error through
        raise Problem("malformed_request", "The handshake cannot be read.") from None
    hello: frames.HelloFrame | int
    if principal is not None:
        hello = await _hello(ws, context.trace)
    else:
        hello, principal = await _learn(context, ws, scope)
    # Ten thousand sockets live for hours, so the sent headers are dropped.
    ws.headers.clear()
    if isinstance(hello, int):
        await ws.close(code=hello, message=close_codes.REASONS[hello].encode())
    elif principal is None:
        await ws.close(code=close_codes.UNAUTHENTICATED, message=b"unauthenticated")
    else:
        context.principal = principal
        await serve(context, ws, principal, hello)
    forget_frames(ws.exception())
    return ws


async def _greeted(
    context: RequestContext, ws: FeedSocket, principal: Principal, hello: frames.HelloFrame
) -> None:
    resume, told = hello.resume, (hello.device, hello.app_version)
    del hello
    await _serve(context, ws, principal, resume, told)


def _admit(context: RequestContext, scope: str, others: str) -> Principal | None:
    """Count an opening, by user with a valid token, by address without one; an invalid token is refused as in REST.

    Raises:
        Problem: unauthenticated, forbidden, rate_limited, unavailable.
    """
    admission = context.services.admission
    if "Authorization" not in context.request.headers:
        admission.admit_opening(context, None)
        return None
    identify(Access(scope), context)
    if not allows(context.who.role, scope):
        raise Problem("forbidden", others)
    admission.admit_opening(context, context.who.number)
    return context.who


async def _learn(
    context: RequestContext, ws: FeedSocket, scope: str
) -> tuple[frames.HelloFrame | int, Principal | None]:
    """Read the first frame of an unauthenticated socket, and redeem its ticket."""
    anonymous, address = (
        context.services.hub.anonymous,
        context.services.admission.address_of(context.request),
    )
    with anonymous.staying(address, lambda: ws.dismiss(close_codes.TOO_MANY)):
        hello = await _hello(ws, context.trace)
    if isinstance(hello, int):
        return hello, None
    try:
        return hello, await _redeem(context, hello, scope)
    except StorageError:
        # The ticket may be good: an app that is told 4001 would not come again.
        return close_codes.OVERLOADED, None


async def _hello(ws: web.WebSocketResponse, trace: str) -> frames.HelloFrame | int:
    """The first frame, if it comes in time and is a hello; else the close code."""
    try:
        async with asyncio.timeout(HELLO_S):
            message = await ws.receive()
    except TimeoutError:
        return close_codes.LATE_HELLO
    if message.type is WSMsgType.ERROR and isinstance(message.data, int):
        return message.data
    if message.type is not WSMsgType.TEXT:
        return close_codes.BAD_FRAME
    try:
        frame = frames.decode_frame(message.data.encode())
    except (frames.BadFrame, UnicodeEncodeError) as error:
        detail = error.detail if isinstance(error, frames.BadFrame) else "not UTF-8"
        said = {"t": "error", "id": None, "code": "bad_frame", "temporary": False, "trace_id": trace}
        await _say(ws, said | {"detail": detail})
        return close_codes.BAD_FRAME
    return frame if isinstance(frame, frames.HelloFrame) else close_codes.BAD_FRAME


async def _say(ws: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    if not ws.closed:
        with suppress(ConnectionError):  # the stranger has reset its connection
            await ws.send_str(orjson.dumps(frame).decode())


async def _redeem(context: RequestContext, hello: frames.HelloFrame, scope: str) -> Principal | None:
    """The user of the ticket; None when the ticket is not valid, or not for this.

    Raises:
        StorageError: tickets cannot be read.
    """
    if hello.ticket is None:
        return None
    claims = await context.services.tickets.redeem(hello.ticket)
    if claims is None or not allows(str(claims["role"]), scope):
        return None
    principal = Principal(
        str(claims["role"]),
        int(str(claims["number"])),
        str(claims["session"]),
        context.services.tokens.steady(float(str(claims["expires_at"]))),
    )
    return None if context.services.tokens.is_over(principal) else principal


async def _serve(
    context: RequestContext,
    ws: FeedSocket,
    principal: Principal,
    resume: frames.ResumeFrame | None,
    told: tuple[str | None, str | None],
) -> None:
    """Serve the socket from its hello on; `told` is the device and version that the app named."""
    services = context.services
    if services.tokens.is_over(principal):  # revoked between the upgrade and the hello
        await ws.close(code=close_codes.UNAUTHENTICATED, message=b"unauthenticated")
        return
    if services.tokens.is_blind():
        await ws.close(code=close_codes.OVERLOADED, message=b"unavailable")
        return
    epoch, position = (None, None) if resume is None else (resume.epoch, resume.seq)
    session = Session(ws, services, principal, context.trace, epoch, position)
    if not services.hub.add(session):
        await ws.close(code=close_codes.TOO_MANY, message=b"too_many_connections")
        return
    try:
        session.number = await services.dispatch.connect(
            principal.number,
            session.address,
            epoch,
            position,
            context.trace,
            opened_ms=session.opened_ms,
        )
        await session.run()
    except NoSuchActor:
        await session.end(close_codes.FORBIDDEN)
    except ActorError:
        await session.end(close_codes.OVERLOADED)
    except Exception as error:
        # After the upgrade an HTTP answer would end up between the frames.
        log.error("failed_session", trace_id=context.trace, exc_info=error)
        await session.end(close_codes.INTERNAL)
    finally:
        services.hub.remove(session)
        services.dispatch.disconnect(principal.number, session.address)
        log.info(
            "ended_session",
            trace_id=context.trace,
            driver_id=f"drv_{principal.number}",
            code=session.state.closing or ws.close_code,
            acked=session.state.acked,
            device=told[0],
            app_version=told[1],
            duration_s=round(services.clock.monotonic() - session.opened_at, 3),
        )
