"""Signatures of Standard Webhooks, version v1: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable

SECRET_BYTES = 32
_PREFIX = "whsec_"


def new_secret() -> bytes:
    """A secret of an endpoint."""
    return secrets.token_bytes(SECRET_BYTES)


def shown_secret(secret: bytes) -> str:
    """A secret as receivers configure it."""
    return _PREFIX + base64.b64encode(secret).decode()


def signatures(keys: Iterable[bytes], message: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each key, of which one must fit."""
    signed = f"{message}.{timestamp}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}" for key in keys)
