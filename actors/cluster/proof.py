"""Handshake proofs: both ends of a link prove that they know the cluster's secret.

A proof is HMAC-SHA256, in hexadecimal digits, over these fields. Each field is UTF-8 with its length in front (four
bytes, big-endian), so that different lists of fields have different bytes:

    "mall-peer-2", direction, cluster,
    instance and incarnation of the client, instance and incarnation of the server,
    the client's nonce, the server's nonce,
    SHA-256 of the server's certificate in hexadecimal digits, "" without TLS

The direction is "server" in the server's proof and "client" in the client's, so that neither can be replayed as the
other. It contains the certificate, so that a man in the middle with another certificate cannot relay it.
tests/integration/test_lines.py has a test vector.

The previous version joined its fields by U+001F. This form is still accepted for a rolling upgrade: if one end knows no
other, without TLS, and only if no field contains that character, so that the bytes are unambiguous.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from typing import Literal

from actors.cluster.transport import Greeting
from actors.values import frozen

VERSION = 2
LABEL = "mall-peer-2"
# Longest name or nonce. Longer ones, and control characters, are refused.
FIELD_CHARS_MAX = 200
NONCE_CHARS_MIN = 16

Direction = Literal["client", "server"]


@frozen
class Meeting:
    """Fields that a proof covers."""

    cluster: str
    client: Greeting
    server: Greeting
    client_nonce: str
    server_nonce: str
    certificate: str = ""

    def _fields(self) -> Sequence[str]:
        client, server = self.client, self.server
        return (
            self.cluster,
            client.instance,
            client.incarnation,
            server.instance,
            server.incarnation,
            self.client_nonce,
            self.server_nonce,
        )

    def proof(self, secret: bytes, direction: Direction) -> str:
        """Proof of one end."""
        fields = (LABEL, direction, *self._fields(), self.certificate)
        data = b"".join(struct.pack(">I", len(x)) + x for x in (field.encode() for field in fields))
        return hmac.new(secret, data, "sha256").hexdigest()

    def old_proof(self, secret: bytes, direction: Direction) -> str:
        """Proof as the previous version makes it.

        Raises:
            ValueError: its bytes would be ambiguous, or the link has TLS, which that version does not know.
        """
        fields = (direction, *self._fields())
        if self.certificate or any("\x1f" in field for field in fields):
            raise ValueError("not to be told apart")
        return hmac.new(secret, "\x1f".join(fields).encode(), "sha256").hexdigest()


def read_field(value: object, least: int = 1) -> str:
    """Read a name or a nonce that a peer has sent.

    Raises:
        ValueError: it is not a valid one.
    """
    if not isinstance(value, str) or not least <= len(value) <= FIELD_CHARS_MAX or not value.isprintable():
        raise ValueError("no name")
    return value
