"""Makes tokens, with the server's own key or with others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Claims = dict[str, Any]
LASTING_S = 24 * 3600
# As a value: this member is left out.
GONE = object()


def encoded(data: bytes | object) -> str:
    """Base64url without padding, of bytes or of JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class TokenForge:
    """Makes tokens. It has the server's own key, so that nothing is wrong with a token but what is meant to be.

    Attributes:
        good: a token of the driver, as the server has issued it.
        header, claims: what is in it.
        own, foreign: the server's key, and one that it does not know.
    """

    good: str
    header: Claims
    claims: Claims
    own: Ed25519PrivateKey
    foreign: Ed25519PrivateKey

    def signed(self, header: object, claims: object, key: Ed25519PrivateKey | None = None) -> str:
        text = f"{encoded(header)}.{encoded(claims)}"
        return f"{text}.{encoded((key or self.own).sign(text.encode()))}"

    def with_header(self, key: Ed25519PrivateKey | None = None, **changes: Any) -> str:
        return self.signed(_changed(self.header, changes), self.claims, key)

    def with_claims(self, **changes: Any) -> str:
        return self.signed(self.header, _changed(self.claims, changes))

    def by_secret(self, algorithm: str, secret: bytes) -> str:
        """Signed with a shared secret, as if a public key was one."""
        text = f"{encoded(self.header | {'alg': algorithm})}.{encoded(self.claims)}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
        return f"{text}.{encoded(hmac.digest(secret, text.encode(), digest))}"

    def unsigned(self, algorithm: object, signature: str = "") -> str:
        return f"{encoded(self.header | {'alg': algorithm})}.{encoded(self.claims)}.{signature}"

    @property
    def parts(self) -> list[str]:
        return self.good.split(".")

    @property
    def raw(self) -> bytes:
        return self.own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def pem(self) -> bytes:
        return self.own.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self) -> dict[str, str]:
        raw = self.foreign.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw), "kid": "mine", "alg": "EdDSA"}


def _changed(old: Claims, changes: Claims) -> Claims:
    return {name: value for name, value in (old | changes).items() if value is not GONE}


async def own_key(database: Any) -> Ed25519PrivateKey:
    """The server's key comes out of its database."""
    row = await database.fetchrow("SELECT kid, private_pem FROM signing_key")
    own = serialization.load_pem_private_key(row["private_pem"].encode(), None)
    assert isinstance(own, Ed25519PrivateKey)
    return own


def parts(token: str) -> tuple[Claims, Claims]:
    """Header and claims of a token."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


def lasting(token: str, own: Ed25519PrivateKey) -> str:
    """The same as minted ones are: the server outlives the ten minutes of an ordinary token by far."""
    header, claims = parts(token)
    minted = {"sid": f"mnt_{claims['sid']}", "exp": claims["iat"] + LASTING_S}
    return TokenForge(token, header, claims, own, own).with_claims(**minted)
