"""Passwords that nobody knows any more: set by an admin, or by the person with a link that an admin hands on.

A link works once, for an hour, and only as long as the account is as it was; the database keeps its hash. Until there
is mail the admin who asks for it is shown it. Whichever way a password is set, all sessions of the account end.
"""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints

from api.contract.fields import Password, Strict
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import login_throttle, serializers
from dispatch.domain import ids

RESET_FORM = "^rst_[0-9a-f]{64}$"


class NewPassword(Strict):
    new_password: Password


class PasswordReset(Strict):
    token: Annotated[str, StringConstraints(pattern=RESET_FORM, max_length=68)]
    new_password: Password


async def set_password(context: RequestContext) -> web.Response:
    """Another password for a user whose own is not asked for; all sessions of the user end."""
    number, body = context.number(ids.USER), await context.body(NewPassword)
    accounts = context.services.accounts
    await accounts.require(number)
    encoded = await context.services.passwords.hash(body.new_password)
    await accounts.replace_password(number, encoded)
    return web.Response(status=204)


async def make_link(context: RequestContext) -> web.Response:
    """What a link needs that lets the user choose a password, once, within an hour. It voids the one before."""
    number = context.number(ids.USER)
    await context.no_body()
    made = await context.services.accounts.make_reset_token(number)
    return json_response({"token": made.text, "expires_at": serializers.timestamp(made.expires_at)}, 201)


async def use_link(context: RequestContext) -> web.Response:
    """Choose a password with a link's token; the token is used up, and all sessions of the account end."""
    body, services = await context.body(PasswordReset), context.services
    async with login_throttle.trying(context), login_throttle.ranked(context) as rank:
        await services.accounts.check_reset_token(body.token)
        encoded = await services.passwords.hash(body.new_password, rank)
        await services.accounts.use_reset_token(body.token, encoded)
        await services.admission.take_back(context)
    return web.Response(status=204)


ROUTES = (
    Route("users.password", "PUT", "/api/v2/users/{id}/password", set_password),
    Route("users.reset", "POST", "/api/v2/users/{id}/password-reset", make_link),
    Route("auth.reset", "POST", "/api/v2/auth/password-reset", use_link),
)
