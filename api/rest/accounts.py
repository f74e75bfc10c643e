"""Accounts: register, login, refresh, logout, me, public keys."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from api import present
from api.call import Call, json_response
from api.edge import Route
from api.fields import Email, Name, Password, Strict
from api.problems import Problem
from api.tokens import ACCESS_S
from config import metrics
from storage.errors import Duplicate

# A session that was not refreshed for a week is over.
SESSION_S = 7 * 24 * 3600
# A client whose answer got lost may present the token before once more within this time.
REUSE_GRACE_S = 10.0


class Register(Strict):
    email: Email
    password: Password
    name: Name


class Login(Strict):
    email: Email
    password: Password


class Refresh(Strict):
    refresh_token: Annotated[str, StringConstraints(min_length=40, max_length=100)]


async def register(call: Call) -> web.Response:
    """A new customer. Other roles are created by admins."""
    body = await call.body(Register)
    password = await call.office.passwords.hash(body.password)
    try:
        row = await call.office.database.row("user_insert", body.email, password, "customer", body.name)
    except Duplicate:
        raise Problem("email_taken") from None
    tokens = await _open_session(call, row)
    return json_response({"user": present.user(row), **tokens}, 201)


async def login(call: Call) -> web.Response:
    """Tokens for e-mail and password. An unknown account takes as long as a wrong password."""
    body = await call.body(Login)
    row = await call.office.database.row("user_by_email", body.email)
    fits = await call.office.passwords.verify(row["password_hash"] if row else None, body.password)
    if row is None or not fits:
        metrics.LOGINS.labels("refused").inc()
        raise Problem("invalid_credentials")
    if row["status"] != "active":
        metrics.LOGINS.labels("disabled").inc()
        raise Problem("account_disabled")
    metrics.LOGINS.labels("ok").inc()
    return json_response(await _open_session(call, row))


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _tokens(call: Call, role: str, number: int, session: str, refresh: str) -> dict[str, Any]:
    access = call.office.tokens.issue(role, number, session)
    return {
        "access_token": access, "token_type": "Bearer", "expires_in": ACCESS_S, "refresh_token": refresh,
    }  # fmt: skip


def _new_refresh(call: Call) -> str:
    return f"ref_{call.office.entropy.token()}{call.office.entropy.token()}"


async def _open_session(call: Call, row: Any) -> dict[str, Any]:
    session, refresh = f"ses_{call.office.entropy.token()}", _new_refresh(call)
    await call.office.database.rows("session_insert", session, row["id"], _hash(refresh), float(SESSION_S))
    return _tokens(call, row["role"], row["id"], session, refresh)


async def refresh(call: Call) -> web.Response:
    """A new pair of tokens for a refresh token, which is used up by it.

    One that was used up before ends the session: somebody has a copy. The revocation is committed
    although the answer is a refusal.
    """
    given = _hash((await call.body(Refresh)).refresh_token)
    fresh = _new_refresh(call)
    async with call.office.database.transaction() as transaction:
        row = await transaction.row("session_lock", given)
        usable = row is not None and not row["revoked"] and not row["expired"] and row["status"] == "active"
        if usable and (row["current"] or row["age_s"] <= REUSE_GRACE_S):
            await transaction.rows("session_rotate", row["id"], _hash(fresh), float(SESSION_S))
        elif usable:
            await transaction.rows("session_revoke", row["id"])
            usable = False
    if row is None or not usable:
        raise Problem("invalid_refresh_token")
    return json_response(_tokens(call, row["role"], row["user_id"], row["id"], fresh))


async def logout(call: Call) -> web.Response:
    """End the session; its access tokens die within a second."""
    await call.no_body()
    await call.office.database.rows("session_revoke", call.who.session)
    call.office.tokens.cut_off(session=call.who.session)
    return web.Response(status=204)


async def me(call: Call) -> web.Response:
    """The account behind the token."""
    row = await call.office.database.row("user_get", call.who.number)
    if row is None:
        raise Problem("unauthenticated")
    return json_response(present.user(row))


async def jwks(call: Call) -> web.Response:
    """The public keys, for services that check our tokens."""
    return json_response(call.office.tokens.jwks(), headers={"Cache-Control": "public, max-age=300"})


ROUTES = (
    Route("auth.register", "POST", "/api/v2/auth/register", register),
    Route("auth.login", "POST", "/api/v2/auth/login", login),
    Route("auth.refresh", "POST", "/api/v2/auth/refresh", refresh),
    Route("auth.logout", "POST", "/api/v2/auth/logout", logout),
    Route("auth.me", "GET", "/api/v2/me", me),
    Route("auth.jwks", "GET", "/.well-known/jwks.json", jwks, quiet=True),
)
