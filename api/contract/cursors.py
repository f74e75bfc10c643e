"""Cursors: sealed start of the next page of a list.

A cursor is encrypted and signed with a key that all instances derive from the cluster's secret. It is valid for a day,
and only for the same path, caller, sort and filters. It gives no permission; its bearer must still be allowed to read
the list.

The same page has the same cursor for an hour, so that a page can have an ETag: the nonce is a hash of the content, not
random.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors.clock import Clock
from actors.values import frozen
from api.contract.problems import Fault, Problem
from storage.postgres.list_queries import After

# Incremented when the content changes its form: older cursors are then refused instead of misread.
VERSION = 1
# A cursor is good for at least a day, and until the end of the hour.
GOOD_S = 24 * 3600
_HOUR_S = 3600
_NONCE_BYTES = 12
# The longest sort key, a name, has 120 characters of at most four bytes.
TEXT_MAX = 1024
_TEXT = re.compile(r"[A-Za-z0-9_-]{16,1024}", re.ASCII)


@frozen
class Purpose:
    """The list that a cursor is valid for.

    Attributes:
        path: of the request, so that a cursor of one list is not valid for another.
        caller: number of the user.
        sort: with a minus for the largest first.
        filters: by name.
    """

    path: str
    caller: int
    sort: str
    filters: Mapping[str, Any]

    def as_bytes(self) -> bytes:
        """A byte string that is equal for equal purposes only."""
        parts = [VERSION, self.path, self.caller, self.sort, self.filters]
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


class Cursors:
    """Seals and opens cursors.

    Args:
        secret: the secret that only the instances of a cluster share.
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        key = HKDF(SHA256(), 64, salt=None, info=b"mall list cursors").derive(secret)
        self._cipher = AESGCM(key[:32])
        self._nonce_key = key[32:]
        self._clock = clock

    def seal(self, purpose: Purpose, after: After) -> str:
        """The cursor of the page that begins after this row."""
        expires_h = int(self._clock.wall() + GOOD_S) // _HOUR_S + 1
        content, bound = orjson.dumps([expires_h, *after]), purpose.as_bytes()
        nonce = hmac.digest(self._nonce_key, bound + b"\0" + content, "sha256")[:_NONCE_BYTES]
        sealed = nonce + self._cipher.encrypt(nonce, content, bound)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, purpose: Purpose, text: str) -> After:
        """The row after which the page begins.

        Raises:
            Problem: `invalid_cursor`, naming the parameter, for a damaged, foreign or expired cursor alike.
        """
        if _TEXT.fullmatch(text) is None:
            raise _refused()
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) % 4 != 1 else b""
        # The last character may have spare bits; only the canonical encoding is a cursor.
        if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != text:
            raise _refused()
        try:
            content = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.as_bytes())
        except (InvalidTag, ValueError):
            raise _refused() from None
        expires_h, key, number = orjson.loads(content)
        if expires_h * _HOUR_S <= self._clock.wall():
            raise _refused()
        return After(key, number)


def _refused() -> Problem:
    detail = "damaged, expired, or made for another list, sort, filter or caller; begin again without it"
    return Problem("invalid_cursor", faults=[Fault("query", "cursor", "cursor", detail)])
