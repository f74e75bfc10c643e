"""Accounts: register, login, refresh, logout, password, me, public keys."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from api import present, throttle
from api.call import Call, json_response
from api.edge import Route
from api.families import ABSOLUTE_S, IDLE_S, SALT_BYTES, SALTS_MAX, RefreshToken, judge, read_token
from api.fields import Email, Name, Password, Strict
from api.passwords import FAMILIAR_RANK
from api.problems import Problem
from api.tokens import ACCESS_S
from config import metrics
from storage.addresses import normal_form
from storage.errors import Duplicate


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


async def register(call: Call) -> web.Response:
    """A new customer. Other roles are created by admins.

    An address that is in use is refused as such: without a mail that proves the address no answer could
    hide it and still let people in. It takes as long as a registration does, and counts as a failure of its
    network, which makes it five questions a minute.
    """
    body = await call.body(Register)
    async with throttle.trying(call), throttle.ranked(call) as rank:
        await throttle.count_registration(call)
        password = await call.office.passwords.hash(body.password, rank)
        try:
            row = await call.office.database.row(
                "user_insert", body.email, password, "customer", body.name, normal_form(body.email)
            )
        except Duplicate:
            raise Problem("email_taken") from None
        tokens = await _open_session(call, row["id"], password, throttle.network_of(call))
        if tokens is None:
            raise Problem("account_disabled")  # somebody was quick
        await throttle.succeeded(call, known=False)
    return json_response({"user": present.user(row), **tokens}, 201)


async def login(call: Call) -> web.Response:
    """Tokens for e-mail and password. An unknown account, one without a password, and a closed one all take
    as long and look like a wrong password; see api/throttle.py for how guessing is slowed down.
    """
    body = await call.body(Login)
    async with throttle.trying(call), throttle.ranked(call) as rank:
        row, tokens = await _admitted(call, normal_form(body.email), body.password, rank)
    metrics.LOGINS.labels("ok").inc()
    stronger = await call.office.passwords.stronger(row["password_hash"], body.password)
    if stronger is not None:
        await call.office.database.rows("user_set_password", row["id"], stronger, row["password_hash"])
    return json_response(tokens)


async def _admitted(call: Call, form: str, password: str, rank: int) -> tuple[Any, dict[str, Any]]:
    """The account that address and password open, and tokens for it. It waits in this rank, or in the first one where
    the account was used from this network before.

    Raises:
        Problem: they do not, the account is closed, or was tried too often.
    """
    network = throttle.network_of(call)
    row = await call.office.database.row("user_for_login", form, network)
    known = row is not None and row["known"]
    account = throttle.account_of(None if row is None else row["id"], form)
    await throttle.slow_down(call, account, network, known=known)
    rank = FAMILIAR_RANK if known else rank
    tokens = await _log_in(call, row, password, network, rank)
    if tokens is None:
        # Hash or account have changed while the password was looked at: what holds now has the last word.
        row = await call.office.database.row("user_for_login", form, network)
        tokens = await _log_in(call, row, password, network, rank)
    if tokens is None:
        raise _refused("refused", "invalid_credentials")
    await throttle.succeeded(call, known=known)
    return row, tokens


async def _log_in(call: Call, row: Any, password: str, network: str, rank: int) -> dict[str, Any] | None:
    """Tokens when the password fits what was read; None when that has changed meanwhile.

    Raises:
        Problem: it does not fit, or the account is closed.
    """
    fits = await call.office.passwords.verify(row["password_hash"] if row else None, password, rank)
    if row is None or not fits:
        raise _refused("refused", "invalid_credentials")
    if row["status"] != "active":
        raise _refused("disabled", "account_disabled")
    return await _open_session(call, row["id"], row["password_hash"], network)


def _refused(outcome: str, code: str) -> Problem:
    metrics.LOGINS.labels(outcome).inc()
    return Problem(code)


def _tokens(call: Call, role: str, number: int, refresh: RefreshToken) -> dict[str, Any]:
    access = call.office.tokens.issue(role, number, refresh.session_id)
    return {
        "access_token": access, "token_type": "Bearer", "expires_in": ACCESS_S, "refresh_token": refresh.text,
    }  # fmt: skip


def _drawn(call: Call, size: int) -> bytes:
    """So many bytes that nobody can guess."""
    return bytes.fromhex("".join(call.office.entropy.token() for _ in range(size // 16)))


async def _open_session(call: Call, number: int, checked: str, network: str) -> dict[str, Any] | None:
    """The tokens of a new session; None when `checked` is not the account's hash any more, or it was closed."""
    first = RefreshToken(_drawn(call, 16), 0, _drawn(call, 16), _drawn(call, 32))
    holder = await call.office.database.row(
        "session_insert", first.session_id, number, first.key_hash, first.family_hash, network, float(IDLE_S), checked
    )  # fmt: skip
    return None if holder is None else _tokens(call, holder["role"], number, first)


async def refresh(call: Call) -> web.Response:
    """A new pair of tokens for a refresh token, which is replaced by it; api/families.py has the rules.

    Where they end the session, that is committed although the answer is a refusal.
    """
    given = read_token((await call.body(Refresh)).refresh_token)
    if given is None:
        raise Problem("invalid_refresh_token")
    async with throttle.trying(call):
        await throttle.count(call, throttle.REFRESHES, given.session_id)
        tokens = await _renewed(call, given)
        await call.office.gate.take_back(call)
    return json_response(tokens)


async def _renewed(call: Call, given: RefreshToken) -> dict[str, Any]:
    """The tokens that follow.

    Raises:
        Problem: invalid_refresh_token.
    """
    async with call.office.database.transaction() as transaction:
        row = await transaction.row("session_lock", given.session_id)
        verdict, current = "unknown", given
        if row is not None and not row["revoked"] and not row["expired"] and row["status"] == "active":
            verdict, current = judge(
                given, counter=row["counter"], token_hash=row["token_hash"], family_hash=row["family_hash"],
                salts=row["salts"], ages_s=row["ages_s"],
            )  # fmt: skip
        if verdict == "rotate":
            salt = _drawn(call, SALT_BYTES)
            current = current.next(salt)
            lives = float(IDLE_S), float(ABSOLUTE_S)
            await transaction.rows(
                "session_rotate", current.session_id, current.key_hash, salt, SALTS_MAX, *lives
            )
        elif verdict == "end":
            await transaction.rows("session_revoke", given.session_id)
    metrics.REFRESHES.labels(verdict).inc()
    if verdict == "end":
        call.office.tokens.cut_off(session=given.session_id)
    if row is None or verdict in ("end", "unknown"):
        raise Problem("invalid_refresh_token")
    return _tokens(call, row["role"], row["user_id"], current)


async def logout(call: Call) -> web.Response:
    """End the session; its access tokens die within a second."""
    await call.no_body()
    await call.office.database.rows("session_revoke", call.who.session)
    call.office.tokens.cut_off(session=call.who.session)
    return web.Response(status=204)


async def change_password(call: Call) -> web.Response:
    """Another password; every other session of the account ends, the caller's goes on."""
    body, who, office = await call.body(PasswordChange), call.who, call.office
    await throttle.count(call, throttle.CHANGES, f"u{who.number}")
    row = await office.database.row("user_get", who.number)
    old = row["password_hash"] if row else None
    if not await office.passwords.verify(old, body.old_password):
        raise Problem("wrong_password", "The old password is not right.")
    new = await office.passwords.hash(body.new_password)
    async with office.database.transaction() as transaction:
        if await transaction.row("user_set_password", who.number, new, old) is None:
            raise Problem("wrong_password", "The old password is not right.")
        if await transaction.row("session_is_open", who.session, who.number) is None:
            raise Problem("unauthenticated")  # it has ended since it was let in
        ended = await transaction.rows("sessions_revoke_others", who.number, who.session)
    for session in ended:
        office.tokens.cut_off(session=session["id"])
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
    Route("auth.password", "POST", "/api/v2/me/password", change_password),
    Route("auth.me", "GET", "/api/v2/me", me),
    Route("auth.jwks", "GET", "/.well-known/jwks.json", jwks, quiet=True),
)
