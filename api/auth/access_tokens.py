"""Access tokens: short-lived JWTs signed with Ed25519 (RFC 8725, RFC 9068 profile).

Checking a signature takes 200 us, so verified claims are cached until they expire. Revocations are held in memory and
read again twice a second.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterable
from hashlib import blake2b, sha256
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from actors.clock import Clock, Randomness
from actors.values import frozen
from dispatch.domain.ids import USER, parse_id

ISSUER = "mall"
AUDIENCE = "mall-api"
CLIENT = "mall-app"
ACCESS_S = 600
# Prefix of minted tokens' sessions. They are an operator's, and live longer.
MINTED = "mnt_"
MINTED_S_MAX = 7 * 24 * 3600
LEEWAY_S = 10
TOKEN_BYTES_MAX = 4096
# The end of the year 9999.
EXPIRES_MAX = 253_402_300_800
LATELY_S = 10.0
# Revocations are read twice a second. When the last read is older than this, no token is accepted, because a
# revocation on another instance may be missing. One read may fail, and another be slow, before that. Every document
# names this bound.
BLIND_S = 5.0
# Open sockets and streams go on for this long: closing all of them at each short failure of Postgres would do more
# harm than the messages that they get meanwhile.
PUSHED_BLIND_S = 30.0
# A revocation is remembered longer than any access token lives, even if the database's clock changes.
REMEMBERED_S = ACCESS_S + 60.0
# Cached tokens; beyond this number the oldest are evicted and verified again.
CACHE_MAX = 50_000

# The only members of our tokens' headers: jku, jwk, x5u and crit are never read.
_HEADER = {"alg", "typ", "kid"}
_TEXTS = ("iss", "aud", "sub", "client_id", "jti", "sid", "role")
_TIMES = ("iat", "exp")
_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")


class BadToken(Exception):
    """The token is not valid. The reason is for our log, not for the caller."""


class Blind(Exception):
    """Revocation of the token cannot be checked at the moment: nothing was done, and a retry may succeed."""


@frozen
class Principal:
    """An authenticated caller.

    The token's end is in the clock's `steady` seconds, which a change of Postgres's clock does not move.
    """

    role: str
    number: int
    session: str
    expires_at: float


@frozen
class SigningKey:
    """A key pair and its id.

    It verifies at once and signs from `signs_at` on (UTC seconds), when all caches of the public keys contain it.
    """

    kid: str
    private: Ed25519PrivateKey
    signs_at: float = 0.0

    def as_jwk(self) -> dict[str, str]:
        """The public key as a JWK (RFC 8037)."""
        raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}


def make_signing_key() -> tuple[str, str]:
    """Generate a key: its id (from the public half) and its PEM."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return sha256(public).hexdigest()[:16], pem.decode()


def load_signing_key(kid: str, pem: str, signs_at: float = 0.0) -> SigningKey:
    """Load the key of a stored PEM."""
    private = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    return SigningKey(kid, private, signs_at)


def _decoded(part: str) -> bytes:
    """Decode a part of a token.

    Raises:
        BadToken: the encoding is not canonical; the last character may have spare bits.
    """
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise BadToken("encoding")
    return data


def _members(part: str) -> dict[str, Any]:
    """Parse the JSON object of a part.

    Raises:
        BadToken, ValueError, RecursionError: it is not an object, or a member stands twice.
    """

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadToken("a member stands twice")
        return found

    value = json.loads(_decoded(part), object_pairs_hook=each_once)
    if not isinstance(value, dict):
        raise BadToken("no object")
    return value


class Tokens:
    """Signs and verifies access tokens, and holds the revocations.

    Args:
        keys: all verify; the youngest whose `signs_at` has come signs.
    """

    def __init__(self, keys: list[SigningKey], clock: Clock, entropy: Randomness) -> None:
        self._clock = clock
        self._entropy = entropy
        self._verified: dict[bytes, Principal] = {}
        self._keys: dict[str, SigningKey] = {}
        self.use_keys(keys)
        # Number of tokens shown, and number of signatures checked.
        self.shown = self.checked = 0
        self._sessions: frozenset[str] = frozenset()
        self._users: frozenset[int] = frozenset()
        # Until the first read, which sets the event, no token is accepted.
        self._looked_at = float("-inf")
        self.looked = asyncio.Event()
        # Sessions that one read has shown and a later one has not.
        self._remembered: dict[str, float] = {}
        # Revoked on this instance a moment ago: a read that began before must not undo it.
        self._lately: dict[str | int, float] = {}

    def use_keys(self, keys: list[SigningKey]) -> None:
        """Replace the keys; tokens of a key that is missing become invalid."""
        if self._keys.keys() - {key.kid for key in keys}:
            self._verified.clear()
        self._keys = {key.kid: key for key in sorted(keys, key=lambda key: key.signs_at)}
        self._public = {key.kid: key.private.public_key() for key in keys}

    def _signer(self, *, newest: bool) -> SigningKey:
        keys = list(self._keys.values())
        now = self._clock.wall()
        # A cluster's first key may be a moment ahead of a clock that is not synchronized yet.
        return keys[-1] if newest else next((key for key in reversed(keys) if key.signs_at <= now), keys[0])

    def issue(
        self, role: str, number: int, session: str, lifetime_s: int = ACCESS_S, *, newest: bool = False
    ) -> str:
        """Issue an access token.

        `newest`: sign with the newest key, though others may not have seen it yet, because a token that lives for hours
        must outlive the key before.
        """
        now = int(self._clock.wall())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"usr_{number}",
            "client_id": CLIENT,
            "iat": now,
            "exp": now + lifetime_s,
            "jti": self._entropy.token(),
            "sid": session,
            "role": role,
        }
        key = self._signer(newest=newest)
        return jwt.encode(claims, key.private, "EdDSA", headers={"typ": "at+jwt", "kid": key.kid})

    def verify(self, token: str) -> Principal:
        """The principal of a token.

        Raises:
            BadToken: malformed, expired, revoked, or not ours.
            Blind: the token is valid, but its revocation cannot be checked.
        """
        # Cached by hash: a token is half a kilobyte, and there are as many as users.
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
        try:
            return self.admit(principal)
        except BadToken:
            if not self.is_revoked(principal):  # it has expired
                self._verified.pop(key, None)
            raise

    def admit(self, principal: Principal) -> Principal:
        """Check a principal that was authenticated in another way.

        Raises:
            BadToken: expired or revoked.
            Blind: see `verify`.
        """
        if self.is_over(principal):
            raise BadToken("over")
        if self.is_blind():
            raise Blind
        return principal

    def is_revoked(self, principal: Principal) -> bool:
        """True when the session or the user was revoked after the token was issued."""
        return (
            principal.session in self._sessions
            or principal.number in self._users
            or principal.session in self._lately
            or principal.number in self._lately
            or principal.session in self._remembered
        )

    def is_over(self, principal: Principal) -> bool:
        """True when the token has expired or was revoked."""
        return principal.expires_at + LEEWAY_S <= self._clock.steady() or self.is_revoked(principal)

    def cut_off(self, *, session: str | None = None, user: int | None = None) -> None:
        """Revoke a session or a user at once on this instance; the others read revocations twice a second."""
        now = self._clock.monotonic()
        for key in (session, user):
            if key is not None:
                self._lately[key] = now

    def now(self) -> float:
        """Monotonic seconds, the clock of `shut_out`."""
        return self._clock.monotonic()

    def is_blind(self, bound_s: float = BLIND_S) -> bool:
        """True when the last read of the revocations is older than the bound.

        A token that was revoked on another instance may be accepted then.
        """
        return self._clock.monotonic() - self._looked_at > bound_s

    def shut_out(self, sessions: Iterable[str], users: Iterable[int], asked_at: float | None = None) -> None:
        """Apply the result of a read of the revocations.

        The read was sent at `asked_at` (monotonic seconds), and its result may be as old as that.
        """
        now, found = self._clock.monotonic(), frozenset(sessions)
        for session in self._sessions - found:
            self._remembered[session] = now
        while self._remembered and next(iter(self._remembered.values())) < now - REMEMBERED_S:
            del self._remembered[next(iter(self._remembered))]
        self._sessions, self._users = found, frozenset(users)
        self._looked_at = now if asked_at is None else asked_at
        self.looked.set()
        self._lately = {key: at for key, at in self._lately.items() if at > now - LATELY_S}

    def _check(self, token: str) -> Principal:
        if len(token) > TOKEN_BYTES_MAX or _PARTS.fullmatch(token) is None:
            raise BadToken("form")
        first, second, third = token.split(".")
        try:
            header = _members(first)
            if header.keys() != _HEADER or (header["typ"], header["alg"]) != ("at+jwt", "EdDSA"):
                raise BadToken("header")
            key = self._public.get(header["kid"]) if isinstance(header["kid"], str) else None
            if key is None:
                raise BadToken("unknown key")
            key.verify(_decoded(third), f"{first}.{second}".encode())
            claims = _members(second)
        except (InvalidSignature, ValueError, RecursionError) as error:
            raise BadToken(type(error).__name__) from None
        return self._principal(claims)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        """The principal of the claims. Its expiry is checked at each use, by the same clock."""
        if not all(isinstance(claims.get(name), str) and claims[name] for name in _TEXTS):
            raise BadToken("claims")
        times: list[Any] = [claims.get(name) for name in _TIMES] + [claims.get("nbf", 0)]
        if not all(type(at) is int and 0 <= at < EXPIRES_MAX for at in times):
            raise BadToken("times")
        # Times of a token from before a change of the clock, converted to the present clock.
        shift_s = self._clock.shift_of(times[0])
        issued, expires, not_before = (at + shift_s for at in times)
        longest = MINTED_S_MAX if claims["sid"].startswith(MINTED) else ACCESS_S
        ahead = self._clock.wall() + LEEWAY_S
        if not 0 < expires - issued <= longest or issued > ahead or not_before > ahead:
            raise BadToken("times")
        number = parse_id(USER, claims["sub"])
        named = (claims["iss"], claims["aud"], claims["client_id"])
        if number is None or named != (ISSUER, AUDIENCE, CLIENT):
            raise BadToken("claims")
        return Principal(claims["role"], number, claims["sid"], self.steady(float(expires)))

    def steady(self, wall_s: float) -> float:
        """Convert a date of the wall clock to `steady` seconds."""
        return wall_s - self._clock.wall() + self._clock.steady()

    def dated(self, steady_s: float) -> float:
        """Convert `steady` seconds to a date of the wall clock."""
        return steady_s - self._clock.steady() + self._clock.wall()

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys (RFC 7517)."""
        return {"keys": [key.as_jwk() for key in self._keys.values()]}
