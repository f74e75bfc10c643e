"""Refresh tokens: one family per session, each token made from the one before.

A token has its session, its counter, a secret that the family shares, and a key of 256 bits. The next key is the HMAC
of the last key over a new random salt. The row keeps hashes and the latest salts. So a client with a token that was
just replaced can get the current one again, and a reader of the database learns no token.

The rules (`judge`): a client that lost an answer must not be logged out, and a thief must be.
- the current token is replaced;
- the one just before it, and any other that was replaced within REPLACED_S, get the current one again: the
  answer was lost, or several windows refresh at once. (The price: two holders of a stolen token that always refresh
  this close together are not noticed);
- any older one ends the session, because the token was copied.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Literal

from actors.values import frozen

# A session ends after a week without a refresh, and after a month in any case.
IDLE_S = 7 * 24 * 3600
ABSOLUTE_S = 30 * 24 * 3600
# Requests and answers that cross on a bad connection do so within this time.
REPLACED_S = 10.0
# Number of replacements remembered. An honest client makes one or two within REPLACED_S.
SALTS_MAX = 4
SALT_BYTES = 16

_PREFIX = "ref_"
_TEXT = re.compile(r"ref_[A-Za-z0-9_-]{91}")
_SESSION, _COUNTER, _FAMILY, _KEY = slice(0, 16), slice(16, 20), slice(20, 36), slice(36, 68)

RefreshDecision = Literal["rotate", "repeat", "end", "unknown"]


@frozen
class RefreshToken:
    """Parts of a refresh token.

    Attributes:
        session: the session's 16 bytes; its id is `ses_` and their hexadecimal digits.
        counter: number of tokens before it.
        family: secret of the session's tokens; proves that a token was issued here.
        key: secret of this token alone.
    """

    session: bytes
    counter: int
    family: bytes
    key: bytes

    @property
    def session_id(self) -> str:
        """The session's id."""
        return f"ses_{self.session.hex()}"

    @property
    def text(self) -> str:
        """Token as text, for the client."""
        raw = self.session + self.counter.to_bytes(4, "big") + self.family + self.key
        return _PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    @property
    def family_hash(self) -> bytes:
        return sha256(self.family).digest()

    @property
    def key_hash(self) -> bytes:
        return sha256(self.key).digest()

    def next(self, salt: bytes) -> RefreshToken:
        """Make the token that replaces this one."""
        key = hmac.digest(self.key, b"mall refresh" + salt, "sha256")
        return replace(self, counter=self.counter + 1, key=key)


def read_token(text: str) -> RefreshToken | None:
    """Parse a token; None if it is malformed."""
    if _TEXT.fullmatch(text) is None:
        return None
    raw = base64.urlsafe_b64decode(text.removeprefix(_PREFIX) + "=")
    token = RefreshToken(raw[_SESSION], int.from_bytes(raw[_COUNTER], "big"), raw[_FAMILY], raw[_KEY])
    # The last character has spare bits, which must be zero.
    return token if token.text == text else None


def judge(
    given: RefreshToken,
    *,
    counter: int,
    token_hash: bytes,
    family_hash: bytes,
    salts: Sequence[bytes],
    ages_s: Sequence[float],
) -> tuple[RefreshDecision, RefreshToken]:
    """Decide about a token, and make the session's current one if it is granted.

    `counter`, `token_hash` and `family_hash` are from the session's row; `salts` and `ages_s` are those of its latest
    replacements, newest last.
    """
    if not hmac.compare_digest(given.family_hash, family_hash):
        return "unknown", given  # unknown: it must not end a session
    behind = counter - given.counter
    if not 0 <= behind <= len(salts):
        return "end", given
    current = given
    for salt in salts[len(salts) - behind :]:
        current = current.next(salt)
    if not hmac.compare_digest(current.key_hash, token_hash):
        return "end", given
    if behind == 0:
        return "rotate", current
    if behind == 1 or ages_s[-behind] <= REPLACED_S:
        return "repeat", current
    return "end", given
