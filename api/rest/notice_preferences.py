"""Notice preferences: which notices a user wants by mail and by SMS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints, WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.auth.permissions import READS, WRITES
from api.contract.fields import Strict
from api.contract.problems import Fault, Problem
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest.answers import Truth
from dispatch.domain import ids
from dispatch.notices.preferences import NoticeChoice

operations = Operations(Operation)

CHOICES_MAX = 60
_EXAMPLE = {"choices": [{"type": "assigned", "channel": "sms", "wanted": False}]}


class NoticeChoiceGiven(Strict):
    type: Annotated[str, StringConstraints(max_length=40, pattern="^[a-z_]{1,40}$")]
    channel: Literal["mail", "sms"]
    wanted: bool


class NoticeChoicesChange(Strict):
    """All choices; what is not among them is as usual."""

    choices: Annotated[list[NoticeChoiceGiven], Field(max_length=CHOICES_MAX)]


class NoticeChoiceShown(TypedDict):
    type: Annotated[str, WithJsonSchema(s.text(40, "^[a-z_]+$"))]
    channel: Annotated[str, WithJsonSchema(s.one_of("mail", "sms"))]
    wanted: Truth
    usual: Truth


class NoticeChoicesAnswer(TypedDict):
    choices: Annotated[list[NoticeChoiceShown], Field(max_length=CHOICES_MAX)]


def _shown(choices: Sequence[NoticeChoice]) -> web.Response:
    shown: list[NoticeChoiceShown] = [
        {"type": one.type, "channel": one.channel, "wanted": one.wanted, "usual": one.usual}
        for one in choices
    ]
    answer: NoticeChoicesAnswer = {"choices": shown}
    return json_response(answer)


async def _chosen(context: RequestContext, number: int) -> web.Response:
    """Replace the choices of a user.

    Raises:
        Problem: a choice is not one of the user's, or is given twice.
    """
    body, contacts = await context.body(NoticeChoicesChange), context.services.contacts
    possible: set[tuple[str, str]] = {(one.type, one.channel) for one in await contacts.choices(number)}
    seen: set[tuple[str, str]] = set()
    faults: list[Fault] = []
    for place, one in enumerate(body.choices):
        key = (one.type, one.channel)
        if key not in possible:
            text = "there is no such choice; GET lists them"
            faults.append(Fault("body", f"#/choices/{place}", "unknown", text))
        elif key in seen:
            faults.append(Fault("body", f"#/choices/{place}", "repeated", "must be given once"))
        seen.add(key)
    if faults:
        raise Problem("invalid", faults=faults)
    return _shown(await contacts.choose(number, [(c.type, c.channel, c.wanted) for c in body.choices]))


@operations.declare(
    "auth.notices",
    "GET",
    "/api/v2/users/me/notice-preferences",
    scope="account:read:own",
    limit=READS,
    summary="Which notices the caller gets by mail and SMS",
    note="`usual` is what holds without a choice. Mails about security cannot be switched off and are not listed.",
    answer=NoticeChoicesAnswer,
)
async def get_own(context: RequestContext) -> web.Response:
    """The caller's choices, those of the role."""
    return _shown(await context.services.contacts.choices(context.who.number))


@operations.declare(
    "auth.choose_notices",
    "PUT",
    "/api/v2/users/me/notice-preferences",
    scope="account:write:own",
    limit=WRITES,
    summary="Choose which notices the caller gets",
    body=NoticeChoicesChange,
    body_example=_EXAMPLE,
    answer=NoticeChoicesAnswer,
)
async def choose_own(context: RequestContext) -> web.Response:
    """Replace the caller's choices."""
    return await _chosen(context, context.who.number)


@operations.declare(
    "users.notices",
    "GET",
    "/api/v2/users/{id}/notice-preferences",
    scope="users:admin",
    limit=READS,
    summary="Which notices a user gets",
    answer=NoticeChoicesAnswer,
)
async def get(context: RequestContext) -> web.Response:
    """A user's choices."""
    return _shown(await context.services.contacts.choices(context.number(ids.USER)))


@operations.declare(
    "users.choose_notices",
    "PUT",
    "/api/v2/users/{id}/notice-preferences",
    scope="users:admin",
    limit=WRITES,
    summary="Choose which notices a user gets",
    body=NoticeChoicesChange,
    body_example=_EXAMPLE,
    answer=NoticeChoicesAnswer,
)
async def choose(context: RequestContext) -> web.Response:
    """Replace a user's choices."""
    return await _chosen(context, context.number(ids.USER))
