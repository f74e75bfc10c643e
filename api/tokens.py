"""Access tokens: short-lived JWTs signed with Ed25519 (RFC 8725, RFC 9068 profile).

Checking a signature costs 200 us, so verified claims are kept until they expire; revocations are held in
memory and refreshed twice a second.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b, sha256

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from actors.clock import Clock, Entropy
from dispatch.domain.ids import USER, parse_id

ISSUER = "mall"
AUDIENCE = "mall-api"
ACCESS_S = 600
LEEWAY_S = 10
TOKEN_BYTES_MAX = 4096
# The end of the year 9999.
EXPIRES_MAX = 253_402_300_800
LATELY_S = 10.0
# Verified tokens kept; beyond it the oldest are verified again.
CACHE_MAX = 50_000

_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti", "sid", "role"]


class BadToken(Exception):
    """The token proves nothing. Why is for our log, not for the caller."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: role, user number, session, and until when the token is good (UTC seconds)."""

    role: str
    number: int
    session: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair and its id."""

    kid: str
    private: Ed25519PrivateKey

    def as_jwk(self) -> dict[str, str]:
        """The public half (RFC 8037)."""
        raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}


def make_signing_key() -> tuple[str, str]:
    """A new key: its id (from the public half) and its PEM."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return sha256(public).hexdigest()[:16], pem.decode()


def load_signing_key(kid: str, pem: str) -> SigningKey:
    """The key behind a stored PEM."""
    private = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    return SigningKey(kid, private)


class Tokens:
    """Signs and verifies.

    Args:
        keys: the first signs, all verify.
    """

    def __init__(self, keys: list[SigningKey], clock: Clock, entropy: Entropy) -> None:
        self._keys = {key.kid: key for key in keys}
        self._public = {key.kid: key.private.public_key() for key in keys}
        self._signer = keys[0]
        self._clock = clock
        self._entropy = entropy
        self._verified: dict[bytes, Principal] = {}
        # How often a token was shown, and how often its signature had to be checked.
        self.shown = self.checked = 0
        self._sessions: frozenset[str] = frozenset()
        self._users: frozenset[int] = frozenset()
        # Cut off here a moment ago: a look at the database that began before must not undo it.
        self._lately: dict[str | int, float] = {}

    def issue(self, role: str, number: int, session: str, lifetime_s: int = ACCESS_S) -> str:
        """A new access token."""
        now = int(self._clock.wall())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": f"usr_{number}", "client_id": "mall-app",
            "iat": now, "exp": now + lifetime_s, "jti": self._entropy.token(), "sid": session, "role": role,
        }  # fmt: skip
        return jwt.encode(
            claims, self._signer.private, "EdDSA", headers={"typ": "at+jwt", "kid": self._signer.kid}
        )

    def verify(self, token: str) -> Principal:
        """Who the token stands for.

        Raises:
            BadToken: malformed, expired, revoked, or not from us.
        """
        # By its hash: a token is half a kilobyte, and there are as many as users.
        key = blake2b(token.encode(errors="replace"), digest_size=16).digest()
        principal = self._verified.get(key)
        self.shown += 1
        if principal is None:
            self.checked += 1
            principal = self._check(token)
            if len(self._verified) >= CACHE_MAX:
                for old in list(self._verified)[: CACHE_MAX // 10]:
                    del self._verified[old]
            self._verified[key] = principal
        if principal.expires_at + LEEWAY_S <= self._clock.wall():
            self._verified.pop(key, None)
            raise BadToken("expired")
        if self.is_revoked(principal):
            raise BadToken("revoked")
        return principal

    def is_revoked(self, principal: Principal) -> bool:
        """True when session or user were cut off since the token was issued."""
        return (
            principal.session in self._sessions
            or principal.number in self._users
            or principal.session in self._lately
            or principal.number in self._lately
        )

    def is_over(self, principal: Principal) -> bool:
        """True when the token has expired or was revoked."""
        return principal.expires_at + LEEWAY_S <= self._clock.wall() or self.is_revoked(principal)

    def cut_off(self, *, session: str | None = None, user: int | None = None) -> None:
        """Shut out a session or a user at once, on this instance; the others look twice a second."""
        now = self._clock.monotonic()
        for key in (session, user):
            if key is not None:
                self._lately[key] = now

    def shut_out(self, sessions: Iterable[str], users: Iterable[int]) -> None:
        """What a look at the database has found."""
        self._sessions, self._users = frozenset(sessions), frozenset(users)
        since = self._clock.monotonic() - LATELY_S
        self._lately = {key: at for key, at in self._lately.items() if at > since}

    def _check(self, token: str) -> Principal:
        if len(token) > TOKEN_BYTES_MAX:
            raise BadToken("too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != "at+jwt" or header.get("alg") != "EdDSA" or "crit" in header:
                raise BadToken("header")
            key = self._public.get(str(header.get("kid")))
            if key is None:
                raise BadToken("unknown key")
            # Expiry is compared by our own clock below, which is Postgres's.
            claims = jwt.decode(
                token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER,
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
            )  # fmt: skip
            number = parse_id(USER, str(claims["sub"]))
            role, session, expires = claims["role"], claims["sid"], claims["exp"]
        except (jwt.PyJWTError, ValueError, UnicodeError) as error:
            raise BadToken(type(error).__name__) from None
        typed = isinstance(role, str) and isinstance(session, str) and type(expires) is int
        if number is None or not typed or not 0 < expires < EXPIRES_MAX:
            raise BadToken("claims")
        # The last character of a signature may have spare bits; only its canonical form is a token.
        signature = token.rsplit(".", 1)[1]
        padded = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        if base64.urlsafe_b64encode(padded).rstrip(b"=").decode() != signature:
            raise BadToken("encoding")
        return Principal(role, number, session, float(expires))

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys (RFC 7517)."""
        return {"keys": [key.as_jwk() for key in self._keys.values()]}
