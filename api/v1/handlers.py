"""Handlers of version 1: the ways to run an operation of version 2."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from api.auth.permissions import COMMANDS, Access
from api.contract.json_body import BODY_BYTES_MAX
from api.contract.problems import Problem
from api.http.operation import Route
from api.http.pipeline import admit, permit
from api.v1.request import RequestContextV1
from api.v1.request_draft import Draft, refuse_body
from api.v1.transforms import conditions, identity, keys, later, money, places

HandlerV1 = Callable[[RequestContextV1], Awaitable[web.StreamResponse]]
# The routes of version 2, by operation.
Routes = Mapping[str, Route]

# Attempts while other clients change the same resource; then the client must retry.
TRIES = 5


async def draft_of(context: RequestContextV1, operation: str, bytes_max: int = BODY_BYTES_MAX) -> Draft:
    """Read the request with its body, not yet translated.

    Raises:
        Problem: the body is too large, or not valid JSON.
    """
    draft = context.draft(operation)
    if context.origin.can_read_body:
        data = await context.body_bytes()
        if len(data) > bytes_max:
            raise Problem("body_too_large", f"Send a body of at most {bytes_max // 1024} KiB.")
        draft.read(data)
    return draft


def translate(context: RequestContextV1, draft: Draft, path: str) -> None:
    """Apply the transforms forward; afterwards the request is one of version 2.

    Raises:
        Problem: a part cannot be translated.
    """
    keys.forward(draft, context)
    for difference in (later, conditions, identity, money, places):
        difference.forward(draft)
    context.forward(draft, path_ids(context, path))


def path_ids(context: RequestContextV1, path: str) -> dict[str, str]:
    """The ids in the path, in the form of version 2."""
    return {name: identity.forward_path(path, number) for name, number in context.origin.match_info.items()}


def as_it_is(operation: str, path: str, routes: Routes) -> HandlerV1:
    """Handler that runs the operation with request and answer translated."""

    async def run(context: RequestContextV1) -> web.StreamResponse:
        translate(context, await draft_of(context, operation), path)
        return await routes[operation].handler(context)

    return run


def bare(operation: str, path: str, routes: Routes) -> HandlerV1:
    """Handler that runs the operation without the body that its answer has only in version 2."""

    async def run(context: RequestContextV1) -> web.StreamResponse:
        await context.no_body()
        translate(context, context.draft(operation), path)
        return await routes[operation].handler(context)

    return run


# -- whole replacements -----------------------------------------------------------------------------------

# All changeable fields of a resource; the second set names those that may be null.
WHOLE: Mapping[str, tuple[str, ...]] = {
    "users.update": ("name", "status"),
    "zones.update": ("name", "mode", "wave_size", "offer_ttl_s", "area"),
    "stores.update": ("name", "location", "preparation_s", "active"),
    "products.update": ("name", "price", "currency", "stock", "active"),
}
NULLABLE = frozenset({"area", "stock"})


def replaced(operation: str, path: str, routes: Routes) -> HandlerV1:
    """Handler of PUT: a merge patch of all fields, against the present version, so that the last write wins.

    DELETE works likewise.
    """
    read = routes[operation.replace(".update", ".get").replace(".delete", ".get")].handler

    async def run(context: RequestContextV1) -> web.StreamResponse:
        draft = await draft_of(context, operation)
        if draft.body is not None:
            check_whole(operation, draft.body)
        translate(context, draft, path)
        for attempt in range(1, TRIES + 1):
            tag, present = await _current(context, draft, read, path)
            check_driver(operation, present, draft.body)
            draft.headers["If-Match"] = tag
            context.forward(draft, path_ids(context, path))
            try:
                response = await routes[operation].handler(context)
            except Problem as problem:
                if problem.kind.status != 412 or attempt == TRIES:
                    raise
            else:
                if response.status != 412 or attempt == TRIES:
                    return response
        raise AssertionError("the last attempt returns or raises")

    return run


def check_whole(operation: str, body: Mapping[str, Any]) -> None:
    """Refuse a replacement that leaves a field out.

    Raises:
        Problem: `invalid`.
    """
    fields = WHOLE.get(operation, ())
    faults = [(f"#/{name}", "missing", "PUT replaces: it is needed") for name in fields if name not in body]
    faults += [
        (f"#/{name}", "null", "must not be null")
        for name, value in body.items()
        if value is None and name not in NULLABLE
    ]
    refuse_body(faults)


def check_driver(operation: str, present: Mapping[str, Any], body: Mapping[str, Any] | None) -> None:
    """Refuse the replacement of a user that leaves out a driver's fields.

    Raises:
        Problem: `invalid`.
    """
    if operation == "users.update" and body is not None and present.get("role") == "driver":
        missing = [name for name in ("zone_id", "capacity") if name not in body]
        refuse_body((f"#/{name}", "missing", "PUT replaces: a driver needs it") for name in missing)


async def _current(
    context: RequestContextV1, draft: Draft, read: HandlerV1, path: str
) -> tuple[str, Mapping[str, Any]]:
    """ETag and value of the present resource."""
    question = context.draft(draft.operation)
    conditions.forward(question)
    context.forward(question, path_ids(context, path))
    response = await read(context)
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    present = orjson.loads(response.body)
    return response.headers.get("ETag") or f'"{present.get("version", 0)}"', present


# -- transitions ------------------------------------------------------------------------------------------

# Access of the status change: any role may send it; the operation that it leads to checks the role.
TRANSITION_ACCESS = Access("account:read:own", COMMANDS)
# Limit of a body: a status, sometimes with a reason or a driver, takes a tenth of it.
TRANSITION_BYTES_MAX = 4096

# Operation by the requested status.
TRANSITIONS: Mapping[str, str] = {
    "accepted": "orders.accept",
    "declined": "orders.decline",
    "on_the_way": "orders.pickup",
    "picked_up": "orders.pickup",
    "delivered": "orders.delivery",
    "failed": "orders.failure",
    "cancelled": "orders.cancel",
    "pending": "orders.release",
}


def transition(_: str, path: str, routes: Routes) -> HandlerV1:
    """Handler of a written status: runs the operation that leads to it, with that operation's permissions.

    The body names the status, so the request is counted as a command before its body is read.
    """

    async def run(context: RequestContextV1) -> web.StreamResponse:
        draft = await draft_of(context, "orders.accept", TRANSITION_BYTES_MAX)
        body = {} if draft.body is None else draft.body
        status = body.pop("status", None)
        if not isinstance(status, str) or status not in TRANSITIONS:
            refuse_body([("#/status", "enum", f"must be one of {', '.join(TRANSITIONS)}")])
        operation = TRANSITIONS[str(status)]
        if operation == "orders.accept" and "driver_id" in body:
            operation = "orders.assign"
        draft.operation = operation
        access = routes[operation].access
        assert access.scope is not None
        if access.policy is TRANSITION_ACCESS.policy:  # counted already
            permit(access.scope, context)
        else:
            await admit(access, context)
        translate(context, draft, path)
        return await routes[operation].handler(context)

    return run
