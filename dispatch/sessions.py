"""Sessions: opened by a login, renewed by refresh tokens, ended by a logout or a copied token."""

from __future__ import annotations

from actors.clock import Randomness
from actors.values import frozen
from dispatch.domain.refresh_tokens import (
    ABSOLUTE_S,
    IDLE_S,
    SALT_BYTES,
    SALTS_MAX,
    RefreshDecision,
    RefreshToken,
    judge,
)
from dispatch.ports import AccessTokens, Queries, QueryPool, Row


@frozen
class OpenSession:
    """Open session: its user, the user's present role, the current refresh token."""

    role: str
    user: int
    refresh: RefreshToken


@frozen
class Refreshed:
    """Result of a refresh.

    Attributes:
        decision: see dispatch/domain/refresh_tokens.py.
        session: None if the token is refused.
    """

    decision: RefreshDecision
    session: OpenSession | None


class Sessions:
    """The sessions of all accounts."""

    def __init__(self, database: QueryPool, entropy: Randomness, tokens: AccessTokens) -> None:
        self._database = database
        self._entropy = entropy
        self._tokens = tokens

    async def open(self, user: int, verified: str, network: str) -> OpenSession | None:
        """Open a session after the password was verified against the hash `verified`.

        Returns:
            None if the account has another hash by now, or was closed. The password was verified without a lock, so the
            statement that inserts the session compares the hash again.
        """
        first = RefreshToken(self._draw(16), 0, self._draw(16), self._draw(32))
        holder = await self._database.row(
            "session_insert",
            first.session_id,
            user,
            first.key_hash,
            first.family_hash,
            network,
            float(IDLE_S),
            verified,
        )
        return None if holder is None else OpenSession(holder["role"], user, first)

    async def refresh(self, given: RefreshToken) -> Refreshed:
        """Renew a session with one of its refresh tokens.

        The row's lock serialises rotations and revocations. A decision to end the session is committed, although the
        token is refused.
        """
        async with self._database.transaction() as transaction:
            row = await transaction.row("session_lock", given.session_id)
            decision, current = _decide(given, row)
            if decision == "rotate":
                current = await self._rotate(transaction, current)
            elif decision == "end":
                await transaction.rows("session_revoke", given.session_id)
        if decision == "end":
            self._tokens.cut_off(session=given.session_id)
        if row is None or decision in ("end", "unknown"):
            return Refreshed(decision, None)
        return Refreshed(decision, OpenSession(row["role"], row["user_id"], current))

    async def end(self, session: str) -> None:
        """End a session. Its access tokens are refused here at once, on other instances within a second."""
        await self._database.rows("session_revoke", session)
        self._tokens.cut_off(session=session)

    async def _rotate(self, transaction: Queries, current: RefreshToken) -> RefreshToken:
        salt = self._draw(SALT_BYTES)
        following = current.next(salt)
        lives_s = float(IDLE_S), float(ABSOLUTE_S)
        await transaction.rows(
            "session_rotate", following.session_id, following.key_hash, salt, SALTS_MAX, *lives_s
        )
        return following

    def _draw(self, size_bytes: int) -> bytes:
        """Random bytes that cannot be guessed."""
        return bytes.fromhex("".join(self._entropy.token() for _ in range(size_bytes // 16)))


def _decide(given: RefreshToken, row: Row | None) -> tuple[RefreshDecision, RefreshToken]:
    """Decide about a token by the row of its session."""
    if row is None or row["revoked"] or row["expired"] or row["status"] != "active":
        return "unknown", given
    return judge(
        given,
        counter=row["counter"],
        token_hash=row["token_hash"],
        family_hash=row["family_hash"],
        salts=row["salts"],
        ages_s=row["ages_s"],
    )
