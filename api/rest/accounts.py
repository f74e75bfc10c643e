"""Accounts: register, login, refresh, logout, password, me, public keys."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from aiohttp import web
from pydantic import Field, StringConstraints, WithJsonSchema
from typing_extensions import TypedDict

from api import json_schema as s
from api.auth.access_tokens import ACCESS_S
from api.auth.passwords import FAMILIAR_RANK
from api.auth.permissions import AUTH, DOCUMENTS, READS, REFRESH, WRITES
from api.contract.fields import Email, Name, Password, Strict
from api.contract.problems import Problem
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest import login_throttle, serializers
from api.rest.answers import UserAnswer
from config import metrics
from dispatch.domain.refresh_tokens import RefreshToken, read_token
from dispatch.errors import PasswordReplaced
from dispatch.sessions import OpenSession
from storage.email_addresses import normal_form

operations = Operations(Operation)


class Register(Strict):
    email: Email
    password: Password
    name: Name


class Login(Strict):
    email: Email
    password: Password


class Refresh(Strict):
    refresh_token: Annotated[str, StringConstraints(min_length=40, max_length=100)]


class PasswordChange(Strict):
    old_password: Password
    new_password: Password


_Token = Annotated[str, WithJsonSchema(s.TOKEN)]
_TokenType = Annotated[str, WithJsonSchema(s.one_of("Bearer"))]
_Lifetime = Annotated[int, WithJsonSchema(s.whole(1, 86_400))]
_Refresh = Annotated[str, WithJsonSchema(s.text(100, "^ref_[A-Za-z0-9_-]+$"))]


class TokensAnswer(TypedDict):
    access_token: _Token
    token_type: _TokenType
    expires_in: _Lifetime
    refresh_token: _Refresh


class RegisteredAnswer(TypedDict):
    user: UserAnswer
    access_token: _Token
    token_type: _TokenType
    expires_in: _Lifetime
    refresh_token: _Refresh


class KeyShown(TypedDict):
    kty: Annotated[str, WithJsonSchema(s.one_of("OKP"))]
    crv: Annotated[str, WithJsonSchema(s.one_of("Ed25519"))]
    kid: Annotated[str, WithJsonSchema(s.text(100))]
    x: Annotated[str, WithJsonSchema(s.text(60, "^[A-Za-z0-9_-]+$"))]
    use: NotRequired[Annotated[str, WithJsonSchema(s.one_of("sig"))]]
    alg: NotRequired[Annotated[str, WithJsonSchema(s.text(20))]]


class KeysAnswer(TypedDict):
    keys: Annotated[list[KeyShown], Field(max_length=20)]


@operations.declare(
    "auth.register",
    "POST",
    "/api/v2/auth/register",
    scope=None,
    limit=AUTH,
    summary="Register a customer",
    body=Register,
    body_example={"email": "ada@mall.example", "password": "correct horse battery", "name": "Ada"},
    answer=RegisteredAnswer,
    status=201,
    problems=("email_taken",),
)
async def register(context: RequestContext) -> web.Response:
    """Register a customer. Only admins create other roles.

    An address that is in use is refused with that reason: without a mail that proves the address, no answer could hide
    it and still let a new customer in. The refusal takes as long as a registration, and counts as a failure of its
    network, which limits it to five a minute.
    """
    body = await context.body(Register)
    async with login_throttle.trying(context), login_throttle.ranked(context) as rank:
        await login_throttle.count_registration(context)
        password = await context.services.passwords.hash(body.password, rank)
        row = await context.services.accounts.register(body.email, password, body.name)
        tokens = await _open_session(context, row["id"], password, login_throttle.network_of(context))
        if tokens is None:
            raise Problem("account_disabled")  # it was disabled meanwhile
        await login_throttle.succeeded(context, known=False)
    registered: RegisteredAnswer = {"user": serializers.user(row), **tokens}
    return json_response(registered, 201)


@operations.declare(
    "auth.login",
    "POST",
    "/api/v2/auth/login",
    scope=None,
    limit=AUTH,
    summary="Log in",
    note="An unknown address takes as long as a wrong password.",
    body=Login,
    body_example={"email": "ada@mall.example", "password": "correct horse battery"},
    answer=TokensAnswer,
    problems=("invalid_credentials", "account_disabled"),
)
async def login(context: RequestContext) -> web.Response:
    """Log in with e-mail and password.

    A missing account, one without a password, and a closed one take the same time and look like a wrong password;
    api/rest/login_throttle.py limits guessing.
    """
    body = await context.body(Login)
    async with login_throttle.trying(context), login_throttle.ranked(context) as rank:
        row, tokens = await _admitted(context, normal_form(body.email), body.password, rank)
    metrics.LOGINS.labels("ok").inc()
    stronger = await context.services.passwords.stronger(row["password_hash"], body.password)
    if stronger is not None:
        await context.services.accounts.rehash(row["id"], stronger, row["password_hash"])
    return json_response(tokens)


async def _admitted(context: RequestContext, form: str, password: str, rank: int) -> tuple[Any, TokensAnswer]:
    """The account of this address and password, and tokens for it.

    The attempt waits in this rank, or in the first one when the account was used from this network before.

    Raises:
        Problem: the password is wrong, the account is closed, or too many attempts were made.
    """
    network = login_throttle.network_of(context)
    row = await context.services.accounts.for_login(form, network)
    known = row is not None and row["known"]
    account = login_throttle.account_of(None if row is None else row["id"], form)
    await login_throttle.slow_down(context, account, network, known=known)
    rank = FAMILIAR_RANK if known else rank
    tokens = await _log_in(context, row, password, network, rank)
    if tokens is None:
        # Hash or account have changed during the verification: the present values decide.
        row = await context.services.accounts.for_login(form, network)
        tokens = await _log_in(context, row, password, network, rank)
    if tokens is None:
        raise _refused("refused", "invalid_credentials")
    await login_throttle.succeeded(context, known=known)
    return row, tokens


async def _log_in(
    context: RequestContext, row: Any, password: str, network: str, rank: int
) -> TokensAnswer | None:
    """Tokens when the password fits the row; None when the row has changed meanwhile.

    Raises:
        Problem: the password is wrong, or the account is closed.
    """
    fits = await context.services.passwords.verify(row["password_hash"] if row else None, password, rank)
    if row is None or not fits:
        raise _refused("refused", "invalid_credentials")
    if row["status"] != "active":
        raise _refused("disabled", "account_disabled")
    return await _open_session(context, row["id"], row["password_hash"], network)


def _refused(outcome: str, code: str) -> Problem:
    metrics.LOGINS.labels(outcome).inc()
    return Problem(code)


def _tokens(context: RequestContext, session: OpenSession) -> TokensAnswer:
    access = context.services.tokens.issue(session.role, session.user, session.refresh.session_id)
    return {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": ACCESS_S,
        "refresh_token": session.refresh.text,
    }


async def _open_session(
    context: RequestContext, number: int, checked: str, network: str
) -> TokensAnswer | None:
    """Tokens of a new session; None when `checked` is not the account's hash any more, or the account was closed."""
    session = await context.services.sessions.open(number, checked, network)
    return None if session is None else _tokens(context, session)


@operations.declare(
    "auth.refresh",
    "POST",
    "/api/v2/auth/refresh",
    scope=None,
    limit=REFRESH,
    summary="Exchange a refresh token",
    note="The refresh token is used up. One that was used before ends its session: somebody has a copy.",
    body=Refresh,
    body_example={"refresh_token": "ref_Zm9ydHktdHdvLWNoYXJhY3RlcnMtb2YtY2hhbmNlLXRoYXQ"},
    answer=TokensAnswer,
    problems=("invalid_refresh_token",),
)
async def refresh(context: RequestContext) -> web.Response:
    """Exchange a refresh token for a new pair of tokens. dispatch/domain/refresh_tokens.py has the rules."""
    given = read_token((await context.body(Refresh)).refresh_token)
    if given is None:
        raise Problem("invalid_refresh_token")
    async with login_throttle.trying(context):
        await login_throttle.count(context, login_throttle.REFRESHES, given.session_id)
        tokens = await _renewed(context, given)
        await context.services.admission.take_back(context)
    return json_response(tokens)


async def _renewed(context: RequestContext, given: RefreshToken) -> TokensAnswer:
    """The new pair of tokens.

    Raises:
        Problem: invalid_refresh_token.
    """
    refreshed = await context.services.sessions.refresh(given)
    metrics.REFRESHES.labels(refreshed.decision).inc()
    if refreshed.session is None:
        raise Problem("invalid_refresh_token")
    return _tokens(context, refreshed.session)


@operations.declare(
    "auth.logout",
    "POST",
    "/api/v2/auth/logout",
    scope="account:write:own",
    limit=WRITES,
    summary="End the session",
    note="Access tokens of the session die within a second, its sockets within 25 s.",
    status=204,
)
async def logout(context: RequestContext) -> web.Response:
    """End the session; its access tokens become invalid within a second."""
    await context.no_body()
    await context.services.sessions.end(context.who.session)
    return web.Response(status=204)


@operations.declare(
    "auth.password",
    "POST",
    "/api/v2/me/password",
    scope="account:write:own",
    limit=AUTH,
    summary="Change the password; other sessions end",
    body=PasswordChange,
    body_example={"old_password": "correct horse battery", "new_password": "staple correct horse"},
    status=204,
    problems=("wrong_password",),
)
async def change_password(context: RequestContext) -> web.Response:
    """Change the own password; all other sessions of the account end."""
    body, who, services = await context.body(PasswordChange), context.who, context.services
    await login_throttle.count(context, login_throttle.CHANGES, f"u{who.number}")
    row = await services.accounts.account(who.number)
    old = row["password_hash"] if row else None
    if not await services.passwords.verify(old, body.old_password):
        raise Problem("wrong_password", "The old password is not right.")
    new = await services.passwords.hash(body.new_password)
    try:
        await services.accounts.change_password(who.number, who.session, new, old)
    except PasswordReplaced:
        raise Problem("wrong_password", "The old password is not right.") from None
    return web.Response(status=204)


@operations.declare(
    "auth.me",
    "GET",
    "/api/v2/me",
    scope="account:read:own",
    limit=READS,
    summary="The account behind the token",
    answer=UserAnswer,
)
async def me(context: RequestContext) -> web.Response:
    """The caller's account."""
    row = await context.services.accounts.account(context.who.number)
    if row is None:
        raise Problem("unauthenticated")
    return json_response(serializers.user(row))


@operations.declare(
    "auth.jwks",
    "GET",
    "/.well-known/jwks.json",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="Public keys of access tokens",
    answer=KeysAnswer,
)
async def jwks(context: RequestContext) -> web.Response:
    """The public keys, for services that verify our tokens."""
    return json_response(context.services.tokens.jwks(), headers={"Cache-Control": "public, max-age=300"})
