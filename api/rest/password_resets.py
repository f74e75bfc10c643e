"""Passwords that nobody knows any more: set by an admin, or by the person with a link that an admin hands on.

A link works once, for an hour, and only as long as the account is as it was; the database keeps its hash. Until there
is mail the admin who asks for it is shown it. Whichever way a password is set, all sessions of the account end.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from api.contract.fields import Password, Strict
from api.contract.problems import Problem
from api.http.pipeline import Route
from api.http.request import RequestContext, json_response
from api.rest import login_throttle, serializers
from dispatch.domain import ids
from storage.postgres.database import Transaction

RESET_S = 3600
_PREFIX = "rst_"
RESET_FORM = "^rst_[0-9a-f]{64}$"


class NewPassword(Strict):
    new_password: Password


class PasswordReset(Strict):
    token: Annotated[str, StringConstraints(pattern=RESET_FORM, max_length=68)]
    new_password: Password


async def set_password(context: RequestContext) -> web.Response:
    """Another password for a user whose own is not asked for; all sessions of the user end."""
    number, body = context.number(ids.USER), await context.body(NewPassword)
    await _there(context, number)
    encoded = await context.services.passwords.hash(body.new_password)
    async with context.services.database.transaction() as transaction:
        ended = await _replace(transaction, number, encoded)
    _cut_off(context, ended)
    return web.Response(status=204)


async def make_link(context: RequestContext) -> web.Response:
    """What a link needs that lets the user choose a password, once, within an hour. It voids the one before."""
    number = context.number(ids.USER)
    await context.no_body()
    await _there(context, number)
    entropy = context.services.entropy
    token = f"{_PREFIX}{entropy.token()}{entropy.token()}"
    row = await context.services.database.row("reset_make", number, _hashed(token), float(RESET_S))
    if row is None:
        raise Problem("account_disabled")
    return json_response({"token": token, "expires_at": serializers.timestamp(row["expires_at"])}, 201)


async def use_link(context: RequestContext) -> web.Response:
    """Choose a password with a link's token; the token is used up, and all sessions of the account end."""
    body, services = await context.body(PasswordReset), context.services
    hashed = _hashed(body.token)
    async with login_throttle.trying(context), login_throttle.ranked(context) as rank:
        if await services.database.row("reset_known", hashed) is None:
            raise Problem("invalid_reset_token")
        encoded = await services.passwords.hash(body.new_password, rank)
        async with services.database.transaction() as transaction:
            # The account first, then the token: as everybody does who changes an account.
            known = await transaction.row("reset_known", hashed)
            locked = known and await transaction.row("user_lock", known["user_id"], None)
            if not locked or await transaction.row("reset_take", hashed) is None:
                raise Problem("invalid_reset_token")
            ended = await _replace(transaction, known["user_id"], encoded)
        _cut_off(context, ended)
        await services.admission.take_back(context)
    return web.Response(status=204)


async def _there(context: RequestContext, number: int) -> None:
    row = await context.services.database.row("user_get", number)
    if row is None or row["status"] == "deleted":
        raise Problem("not_found")


async def _replace(transaction: Transaction, number: int, encoded: str) -> list[Any]:
    """The sessions that have ended by it.

    Raises:
        Problem: account_disabled.
    """
    if await transaction.row("user_replace_password", number, encoded) is None:
        raise Problem("account_disabled")
    return await transaction.rows("sessions_revoke_user", number)


def _cut_off(context: RequestContext, ended: list[Any]) -> None:
    for session in ended:
        context.services.tokens.cut_off(session=session["id"])


def _hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


ROUTES = (
    Route("users.password", "PUT", "/api/v2/users/{id}/password", set_password),
    Route("users.reset", "POST", "/api/v2/users/{id}/password-reset", make_link),
    Route("auth.reset", "POST", "/api/v2/auth/password-reset", use_link),
)
