"""Accounts as their owners use them: registration, passwords, reset tokens.

Passwords arrive here as hashes. Verifying one takes time, and the account may change meanwhile, so the statement that
writes compares the hash that was verified once more.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from actors.clock import Randomness
from actors.values import frozen
from dispatch.errors import (
    AccountClosed,
    EmailTaken,
    NoSuchUser,
    PasswordReplaced,
    ResetTokenInvalid,
    SessionOver,
)
from dispatch.ports import AccessTokens, Queries, QueryPool, Row
from storage.email_addresses import normal_form
from storage.errors import Duplicate

# Status of a deleted account.
DELETED = "deleted"
RESET_S = 3600
RESET_PREFIX = "rst_"


@frozen
class ResetToken:
    """One-use token to set a new password. The database keeps its hash."""

    text: str
    expires_at: datetime


async def find_user(queries: Queries, number: int) -> Row:
    """Read a user's row, with a driver's zone and capacity.

    Raises:
        NoSuchUser: there is none, or it was deleted.
    """
    row: Row | None = await queries.row("user_get", number)
    if row is None or row["status"] == DELETED:
        raise NoSuchUser
    return row


async def issue_reset_token(queries: Queries, entropy: Randomness, number: int) -> ResetToken:
    """Issue a reset token. It works once, within an hour, and voids the one before.

    Raises:
        NoSuchUser: there is none, or it was deleted.
        AccountClosed: the account is banned.
    """
    await find_user(queries, number)
    text = f"{RESET_PREFIX}{entropy.token()}{entropy.token()}"
    row = await queries.row("reset_make", number, _hash_of(text), float(RESET_S))
    if row is None:
        raise AccountClosed
    return ResetToken(text, row["expires_at"])


class Accounts:
    """Accounts, their passwords, and reset tokens."""

    def __init__(self, database: QueryPool, entropy: Randomness, tokens: AccessTokens) -> None:
        self._database = database
        self._entropy = entropy
        self._tokens = tokens

    async def register(self, email: str, password_hash: str, name: str) -> Row:
        """Create a customer.

        Raises:
            EmailTaken: another account has this address.
        """
        args = email, password_hash, "customer", name, normal_form(email)
        try:
            row: Row = await self._database.row("user_insert", *args)
        except Duplicate:
            raise EmailTaken from None
        return row

    async def account(self, number: int) -> Row | None:
        """The account of this number, deleted or not."""
        row: Row | None = await self._database.row("user_get", number)
        return row

    async def for_login(self, email_form: str, network: str) -> Row | None:
        """The account of an address in its normal form. `known`: it has logged in from this network before."""
        row: Row | None = await self._database.row("user_for_login", email_form, network)
        return row

    async def by_address(self, email: str) -> Row | None:
        """The account of an address: id, role and status."""
        row: Row | None = await self._database.row("user_by_email", normal_form(email))
        return row

    async def count_known(self, network: str, limit: int) -> int:
        """Number of accounts that have logged in from a network, `limit` at most."""
        return int(await self._database.value("network_accounts", network, limit))

    # -- passwords ------------------------------------------------------------------------------------

    async def rehash(self, number: int, password_hash: str, verified: str) -> None:
        """Store another hash of the same password, unless the account has another password by now."""
        await self._database.rows("user_set_password", number, password_hash, verified)

    async def change_password(
        self, number: int, session: str, password_hash: str, verified: str | None
    ) -> None:
        """Replace the password that was verified. Every session of the account but this one ends.

        Raises:
            PasswordReplaced: the account has another password by now, or is closed.
            SessionOver: the session has ended since the request was admitted.
        """
        async with self._database.transaction() as transaction:
            if await transaction.row("user_set_password", number, password_hash, verified) is None:
                raise PasswordReplaced
            if await transaction.row("session_is_open", session, number) is None:
                raise SessionOver
            ended = await transaction.rows("sessions_revoke_others", number, session)
        self._cut_off(ended)

    async def require(self, number: int) -> None:
        """Check that a user exists.

        Raises:
            NoSuchUser: there is none, or it was deleted.
        """
        await find_user(self._database, number)

    async def replace_password(self, number: int, password_hash: str) -> None:
        """Replace a password without the old one. Every session of the account ends.

        Raises:
            AccountClosed: the account is banned or deleted.
        """
        async with self._database.transaction() as transaction:
            ended = await _replace(transaction, number, password_hash)
        self._cut_off(ended)

    # -- reset tokens ---------------------------------------------------------------------------------

    async def make_reset_token(self, number: int) -> ResetToken:
        """Issue a reset token. It works once, within an hour, and voids the one before.

        Raises:
            NoSuchUser: there is none, or it was deleted.
            AccountClosed: the account is banned.
        """
        return await issue_reset_token(self._database, self._entropy, number)

    async def check_reset_token(self, text: str) -> None:
        """Check a reset token before work is spent on the new password.

        Raises:
            ResetTokenInvalid: it cannot be used.
        """
        if await self._database.row("reset_known", _hash_of(text)) is None:
            raise ResetTokenInvalid

    async def use_reset_token(self, text: str, password_hash: str) -> None:
        """Replace the password of the account that a reset token is for. The token is used up, every session ends.

        Raises:
            ResetTokenInvalid: it cannot be used, or was used meanwhile.
            AccountClosed: the account is banned or deleted.
        """
        digest = _hash_of(text)
        async with self._database.transaction() as transaction:
            # The account is locked before the token: every change of an account takes the locks in this order.
            known = await transaction.row("reset_known", digest)
            locked = known and await transaction.row("user_lock", known["user_id"], None)
            if not locked or await transaction.row("reset_take", digest) is None:
                raise ResetTokenInvalid
            ended = await _replace(transaction, known["user_id"], password_hash)
        self._cut_off(ended)

    def _cut_off(self, ended: list[Row]) -> None:
        for session in ended:
            self._tokens.cut_off(session=session["id"])


async def _replace(transaction: Queries, number: int, password_hash: str) -> list[Row]:
    """Replace the password and end all sessions. Returns those that have ended.

    Raises:
        AccountClosed: the account is banned or deleted.
    """
    if await transaction.row("user_replace_password", number, password_hash) is None:
        raise AccountClosed
    return await transaction.rows("sessions_revoke_user", number)


def _hash_of(token: str) -> bytes:
    return sha256(token.encode()).digest()
