"""Passwords that nobody knows any more: set by an admin, or by the person with a link that an admin hands on.

A link works once, for an hour, and only as long as the account is as it was; the database keeps its hash. Until there
is mail the admin who asks for it is shown it. Whichever way a password is set, all sessions of the account end.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from api import present, throttle
from api.call import Call, json_response
from api.edge import Route
from api.fields import Password, Strict
from api.problems import Problem
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


async def set_password(call: Call) -> web.Response:
    """Another password for a user whose own is not asked for; all sessions of the user end."""
    number, body = call.number(ids.USER), await call.body(NewPassword)
    await _there(call, number)
    encoded = await call.office.passwords.hash(body.new_password)
    async with call.office.database.transaction() as transaction:
        ended = await _replace(transaction, number, encoded)
    _cut_off(call, ended)
    return web.Response(status=204)


async def make_link(call: Call) -> web.Response:
    """What a link needs that lets the user choose a password, once, within an hour. It voids the one before."""
    number = call.number(ids.USER)
    await call.no_body()
    await _there(call, number)
    entropy = call.office.entropy
    token = f"{_PREFIX}{entropy.token()}{entropy.token()}"
    row = await call.office.database.row("reset_make", number, _hashed(token), float(RESET_S))
    if row is None:
        raise Problem("account_disabled")
    return json_response({"token": token, "expires_at": present.timestamp(row["expires_at"])}, 201)


async def use_link(call: Call) -> web.Response:
    """Choose a password with a link's token; the token is used up, and all sessions of the account end."""
    body, office = await call.body(PasswordReset), call.office
    hashed = _hashed(body.token)
    async with throttle.trying(call), throttle.ranked(call) as rank:
        if await office.database.row("reset_known", hashed) is None:
            raise Problem("invalid_reset_token")
        encoded = await office.passwords.hash(body.new_password, rank)
        async with office.database.transaction() as transaction:
            # The account first, then the token: as everybody does who changes an account.
            known = await transaction.row("reset_known", hashed)
            locked = known and await transaction.row("user_lock", known["user_id"], None)
            if not locked or await transaction.row("reset_take", hashed) is None:
                raise Problem("invalid_reset_token")
            ended = await _replace(transaction, known["user_id"], encoded)
        _cut_off(call, ended)
        await office.gate.take_back(call)
    return web.Response(status=204)


async def _there(call: Call, number: int) -> None:
    row = await call.office.database.row("user_get", number)
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


def _cut_off(call: Call, ended: list[Any]) -> None:
    for session in ended:
        call.office.tokens.cut_off(session=session["id"])


def _hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


ROUTES = (
    Route("users.password", "PUT", "/api/v2/users/{id}/password", set_password),
    Route("users.reset", "POST", "/api/v2/users/{id}/password-reset", make_link),
    Route("auth.reset", "POST", "/api/v2/auth/password-reset", use_link),
)
