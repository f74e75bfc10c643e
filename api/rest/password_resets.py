"""Password resets: by an admin, or by the user with a link, from an admin or by mail.

A link works once, for an hour, and only while the account does not change; the database stores its hash. An admin who
requests a link sees it; a user who requests one gets it by mail. Either way, all sessions of the account end.
"""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints, WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.auth.permissions import AUTH, WRITES
from api.contract.fields import Email, Password, Strict
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest import login_throttle, serializers
from api.rest.answers import Moment
from dispatch.domain import ids
from storage.email_addresses import normal_form
from storage.redis.limits import Policy

operations = Operations(Operation)

# Links by mail that are asked for one address, a minute: from all networks together.
ADDRESSES = Policy("reset_mail", 3)
RESET_FORM = "^rst_[0-9a-f]{64}$"


class NewPassword(Strict):
    new_password: Password


class PasswordReset(Strict):
    token: Annotated[str, StringConstraints(pattern=RESET_FORM, max_length=68)]
    new_password: Password


class ResetRequest(Strict):
    email: Email


class ResetLinkAnswer(TypedDict):
    token: Annotated[str, WithJsonSchema(s.text(68, RESET_FORM))]
    expires_at: Moment


@operations.declare(
    "users.password",
    "PUT",
    "/api/v2/users/{id}/password",
    scope="users:admin",
    limit=WRITES,
    summary="Set a user's password; all sessions of the user end",
    body=NewPassword,
    body_example={"new_password": "staple correct horse"},
    status=204,
    problems=("account_disabled",),
)
async def set_password(context: RequestContext) -> web.Response:
    """Set the password of a user without the old one; all sessions of the user end."""
    number, body = context.number(ids.USER), await context.body(NewPassword)
    accounts = context.services.accounts
    await accounts.require(number)
    encoded = await context.services.passwords.hash(body.new_password)
    await accounts.replace_password(number, encoded)
    return web.Response(status=204)


@operations.declare(
    "users.reset",
    "POST",
    "/api/v2/users/{id}/password-reset",
    scope="users:admin",
    limit=WRITES,
    summary="What a link needs that lets the user choose a password",
    answer=ResetLinkAnswer,
    status=201,
    problems=("account_disabled",),
)
async def make_link(context: RequestContext) -> web.Response:
    """Create the token of a reset link, valid once, within an hour. It voids the previous one."""
    number = context.number(ids.USER)
    await context.no_body()
    made = await context.services.accounts.make_reset_token(number)
    shown: ResetLinkAnswer = {"token": made.text, "expires_at": serializers.timestamp(made.expires_at)}
    return json_response(shown, 201)


@operations.declare(
    "auth.reset",
    "POST",
    "/api/v2/auth/password-reset",
    scope=None,
    limit=AUTH,
    summary="Choose a password with a link's token, once; all sessions end",
    body=PasswordReset,
    body_example={
        "token": "rst_5f0c1d9e5f0c1d9e5f0c1d9e5f0c1d9e5f0c1d9e5f0c1d9e5f0c1d9e5f0c1d9e",
        "new_password": "staple correct horse",
    },
    status=204,
    problems=("invalid_reset_token", "account_disabled"),
)
async def use_link(context: RequestContext) -> web.Response:
    """Set a password with a link's token; the token is used up, and all sessions of the account end."""
    body, services = await context.body(PasswordReset), context.services
    async with login_throttle.trying(context), login_throttle.ranked(context) as rank:
        await services.accounts.check_reset_token(body.token)
        encoded = await services.passwords.hash(body.new_password, rank)
        await services.accounts.use_reset_token(body.token, encoded)
        await services.admission.take_back(context)
    return web.Response(status=204)


@operations.declare(
    "auth.request_reset",
    "POST",
    "/api/v2/auth/password-reset-requests",
    scope=None,
    limit=AUTH,
    summary="Ask for a link by mail that sets a new password",
    note="The answer is the same, and takes as long, whether or not there is an account.",
    body=ResetRequest,
    body_example={"email": "ada@mall.example"},
    status=202,
)
async def request_link(context: RequestContext) -> web.Response:
    """Mail a link to the account of this address, if there is one, at most every five minutes.

    Nothing is looked up here: a job does it. Each request counts for its network and for its address, account or not.
    """
    body, services = await context.body(ResetRequest), context.services
    async with login_throttle.trying(context):
        who = login_throttle.account_of(None, normal_form(body.email))
        await login_throttle.count(context, ADDRESSES, who)
        if services.settings.sends_mail:
            await services.reset_requests.add(body.email, context.carried)
    return web.Response(status=202)
