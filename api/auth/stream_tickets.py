"""Stream tickets for the event stream of one order: a browser's EventSource cannot send headers.

A ticket stands in the URL, so it is valid only for the stream of its order and for the user who requested it. It lives
for ten minutes at most, never longer than the access token it was requested with, and ends with the session. Until
then it is valid for any number of connections. It is sealed with a key that all instances derive from the cluster's
secret, so it needs no storage.
"""

from __future__ import annotations

import base64
import re

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors.clock import Clock, Randomness
from api.auth.access_tokens import BadToken, Principal
from dispatch.domain.ids import ORDER, parse_id

GOOD_S = 600
LENGTH_MAX = 400
PATTERN = "^stk_[A-Za-z0-9_-]+$"
_TEXT = re.compile(r"stk_([A-Za-z0-9_-]{16,396})", re.ASCII)
_NONCE_BYTES = 12


class StreamTickets:
    """Issues and reads stream tickets.

    Args:
        secret: the secret that only the instances of a cluster share.
    """

    def __init__(self, secret: bytes, clock: Clock, entropy: Randomness) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=b"mall stream tickets").derive(secret)
        self._cipher = AESGCM(key)
        self._clock = clock
        self._entropy = entropy

    def issue(self, who: Principal, order: int) -> tuple[str, int]:
        """Issue a ticket for the caller and the stream of an order; also returns its lifetime in seconds."""
        now = self._clock.wall()
        expires_s = min(now + GOOD_S, who.expires_at)
        nonce = bytes.fromhex(self._entropy.token())[:_NONCE_BYTES]
        content = orjson.dumps([who.role, who.number, who.session, expires_s])
        sealed = nonce + self._cipher.encrypt(nonce, content, _bound(order))
        return "stk_" + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode(), max(0, int(expires_s - now))

    def read(self, order: str, text: str) -> Principal:
        """The principal of a ticket for the order with this public id. The caller must check its expiry.

        Raises:
            BadToken: it is not a ticket, or is for another order.
        """
        found, number = _TEXT.fullmatch(text), parse_id(ORDER, order)
        if found is None or number is None:
            raise BadToken("form")
        try:
            sealed = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
            content = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(number))
        except (InvalidTag, ValueError):
            raise BadToken("ticket") from None
        role, user, session, expires_s = orjson.loads(content)
        return Principal(role, user, session, expires_s)


def _bound(order: int) -> bytes:
    return b"order %d" % order
