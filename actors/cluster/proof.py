"""What two instances prove to each other when they greet: that both know the secret, here and now.

A proof is HMAC-SHA256, in hexadecimal digits, over these fields, each as UTF-8 behind its length in bytes (four, the
highest first), so that no two lists of fields are the same bytes:

    "mall-peer-2", direction, cluster,
    instance and incarnation of the client, instance and incarnation of the server,
    the client's nonce, the server's nonce,
    SHA-256 of the server's certificate in hexadecimal digits, "" without TLS

The direction is "server" in the server's proof and "client" in the client's, so that neither can be sent back as the
other. With the certificate in it, whoever sits in between and has a certificate of his own can pass nothing on.
tests/integration/test_lines.py has a vector.

The version before joined its fields by U+001F. It is still understood, for a rolling upgrade: between two parties one
of whom does not know better, without TLS, and only while no field holds that character, so that there the bytes are
the fields, too.
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
# Of a name, a nonce: what is longer or has control characters is no greeting.
FIELD_CHARS_MAX = 200
NONCE_CHARS_MIN = 16

Direction = Literal["client", "server"]


@frozen
class Meeting:
    """Everything that a proof is about."""

    cluster: str
    client: Greeting
    server: Greeting
    client_nonce: str
    server_nonce: str
    certificate: str = ""

    def _fields(self) -> Sequence[str]:
        client, server = self.client, self.server
        return (
            self.cluster, client.instance, client.incarnation, server.instance, server.incarnation,
            self.client_nonce, self.server_nonce,
        )  # fmt: skip

    def proof(self, secret: bytes, direction: Direction) -> str:
        """The proof of one side."""
        fields = (LABEL, direction, *self._fields(), self.certificate)
        data = b"".join(struct.pack(">I", len(x)) + x for x in (field.encode() for field in fields))
        return hmac.new(secret, data, "sha256").hexdigest()

    def old_proof(self, secret: bytes, direction: Direction) -> str:
        """The same as the version before makes it.

        Raises:
            ValueError: its bytes would not be the fields, or the line has TLS, which that version does not know.
        """
        fields = (direction, *self._fields())
        if self.certificate or any("\x1f" in field for field in fields):
            raise ValueError("not to be told apart")
        return hmac.new(secret, "\x1f".join(fields).encode(), "sha256").hexdigest()


def read_field(value: object, least: int = 1) -> str:
    """A name or a nonce that a peer has said.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not least <= len(value) <= FIELD_CHARS_MAX or not value.isprintable():
        raise ValueError("no name")
    return value
