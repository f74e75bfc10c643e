"""Refresh tokens: one family per session, each token made from the one before.

A token holds its session, its place in the family, what the whole family shares, and a key of 256 bits. The
next key is the HMAC of the key before over a salt that is drawn then. The row keeps hashes and the latest salts:
whoever shows a token that was replaced a moment ago can be handed the current one again, and whoever reads
the database learns no token at all.

The rules (`judge`), for a client that loses an answer must not be logged out, and a thief must:
- the current token is replaced;
- the one just before it, and any other that was replaced within REPLACED_S, get the current one again: the
  answer was lost, or several windows refresh at once. Of two holders of a stolen token who always follow each
  other so closely neither is noticed; that is the price;
- any older one ends the session: somebody has a copy.
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

# A session that was not refreshed for a week is over, and each after a month.
IDLE_S = 7 * 24 * 3600
ABSOLUTE_S = 30 * 24 * 3600
# Answers that cross each other on a bad line do so within this.
REPLACED_S = 10.0
# Replacements that are remembered: within ten seconds an honest client makes one or two.
SALTS_MAX = 4
SALT_BYTES = 16

_PREFIX = "ref_"
_TEXT = re.compile(r"ref_[A-Za-z0-9_-]{91}")
_SESSION, _COUNTER, _FAMILY, _KEY = slice(0, 16), slice(16, 20), slice(20, 36), slice(36, 68)

RefreshDecision = Literal["rotate", "repeat", "end", "unknown"]


@frozen
class RefreshToken:
    """A token taken apart.

    Attributes:
        session: of the session, 16 bytes; its id is `ses_` and their digits.
        counter: how many came before it.
        family: what all tokens of the session share; proves that a token was ours once.
        key: what only this token has.
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
        """As the client gets it."""
        raw = self.session + self.counter.to_bytes(4, "big") + self.family + self.key
        return _PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    @property
    def family_hash(self) -> bytes:
        return sha256(self.family).digest()

    @property
    def key_hash(self) -> bytes:
        return sha256(self.key).digest()

    def next(self, salt: bytes) -> RefreshToken:
        """The token that replaces this one."""
        key = hmac.digest(self.key, b"mall refresh" + salt, "sha256")
        return replace(self, counter=self.counter + 1, key=key)


def read_token(text: str) -> RefreshToken | None:
    """The parts of a token; None when it cannot be one of ours."""
    if _TEXT.fullmatch(text) is None:
        return None
    raw = base64.urlsafe_b64decode(text.removeprefix(_PREFIX) + "=")
    token = RefreshToken(raw[_SESSION], int.from_bytes(raw[_COUNTER], "big"), raw[_FAMILY], raw[_KEY])
    # The last character has spare bits; only one way to write them is right.
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
    """What a token that was shown leads to, and the session's current token where it does.

    `counter`, `token_hash` and `family_hash` are of the session's row; `salts` and `ages_s` of its latest
    replacements, the newest last, and how long ago each was.
    """
    if not hmac.compare_digest(given.family_hash, family_hash):
        return "unknown", given  # nobody's: it must not end a session
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
