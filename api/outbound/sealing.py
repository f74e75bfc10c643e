"""Sealing: secrets of endpoints are stored encrypted, so that a copy of the database alone gives none away."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_KEY_ID_BYTES, _NONCE_BYTES = 4, 12


class SealBroken(Exception):
    """A sealed secret cannot be read: its key is not there, or it is of another endpoint or was changed."""


def key_id(key: bytes) -> bytes:
    """Short name of a key, in front of what it has sealed."""
    return hashlib.blake2b(key, digest_size=_KEY_ID_BYTES, person=b"mall secrets").digest()


class Sealing:
    """Seals with the first key and opens with any. AES-GCM, with the endpoint as associated data.

    Args:
        keys: KEY_BYTES each; the newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys
        assert all(len(key) == KEY_BYTES for key in keys)
        self._newest = key_id(keys[0])
        self._keys = {key_id(key): AESGCM(key) for key in keys}

    def seal(self, endpoint: int, secret: bytes) -> bytes:
        """Encrypt a secret of an endpoint."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._newest + nonce + self._keys[self._newest].encrypt(nonce, secret, _owner(endpoint))

    def open(self, endpoint: int, sealed: bytes) -> bytes:
        """Decrypt a secret of an endpoint.

        Raises:
            SealBroken: see above.
        """
        key = self._keys.get(sealed[:_KEY_ID_BYTES])
        if key is None:
            raise SealBroken("sealed with a key that is not in MALL_SECRETS_KEY")
        head = _KEY_ID_BYTES + _NONCE_BYTES
        try:
            return key.decrypt(sealed[_KEY_ID_BYTES:head], sealed[head:], _owner(endpoint))
        except (InvalidTag, ValueError):
            raise SealBroken("changed, or of another endpoint") from None


def _owner(endpoint: int) -> bytes:
    return f"webhook:{endpoint}".encode()
