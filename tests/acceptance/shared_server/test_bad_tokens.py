"""Forged, broken and misused access tokens: each is refused at the door and inside an open socket alike."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from tests.acceptance.raw_http import LEAK, RunningServer, refusal
from tests.acceptance.token_forge import GONE, TokenForge, encoded


def _last_character(token: str) -> str:
    """The same bytes by another last character: its lowest bits mean nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) ^ 1]


def _another_payload(f: TokenForge, **changes: object) -> str:
    """The claims changed, the signature kept."""
    return f"{f.parts[0]}.{encoded(f.claims | changes)}.{f.parts[2]}"


def _deep(f: TokenForge, times: int) -> str:
    return f"{encoded(b'[' * times + b']' * times)}.{f.parts[1]}.{f.parts[2]}"


def without(claim: str) -> Callable[[TokenForge], str]:
    return lambda f: f.with_claims(**{claim: GONE})


def _twice(f: TokenForge, name: str, first: object) -> str:
    """A claim that stands twice: readers that take the first and those that take the last see two tokens."""
    claims = json.dumps({name: first})[:-1] + "," + json.dumps(f.claims)[1:]
    return f.signed(f.header, claims.encode())


def _nested(f: TokenForge) -> str:
    """A good token as the payload of another."""
    return f.signed(f.header | {"cty": "JWT"}, f.good.encode())


def _other_curve(f: TokenForge, name: str) -> str:
    """Signed with a key of another curve."""
    text = f"{encoded(f.header | {'alg': name})}.{f.parts[1]}"
    if name == "Ed448":
        return f"{text}.{encoded(Ed448PrivateKey.generate().sign(text.encode()))}"
    key = ec.generate_private_key(ec.SECP256R1())
    return f"{text}.{encoded(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))}"


def _lived(f: TokenForge, ago_s: int) -> str:
    """A token of ten minutes that has ended so long ago by this machine's clock."""
    ended = int(time.time()) - ago_s
    return f.with_claims(iat=ended - 600, exp=ended)


CLAIMS = ("iss", "aud", "sub", "client_id", "exp", "iat", "jti", "sid", "role")
ATTACKS: dict[str, Callable[[TokenForge], str]] = {
    # algorithms
    "alg none": lambda f: f.unsigned("none"),
    "alg None": lambda f: f.unsigned("None"),
    "alg NONE": lambda f: f.unsigned("NONE"),
    "alg nOnE": lambda f: f.unsigned("nOnE"),
    "alg none with the old signature": lambda f: f.unsigned("none", f.parts[2]),
    "alg empty": lambda f: f.unsigned("", f.parts[2]),
    "alg null": lambda f: f.with_header(alg=None),
    "alg missing": lambda f: f.with_header(alg=GONE),
    "alg a list": lambda f: f.with_header(alg=["EdDSA"]),
    "alg in lower case": lambda f: f.with_header(alg="eddsa"),
    "alg by its new name": lambda f: f.with_header(alg="Ed25519"),
    "alg ES256": lambda f: f.with_header(alg="ES256"),
    "alg RS256": lambda f: f.with_header(alg="RS256"),
    "HS256 with the raw public key": lambda f: f.by_secret("HS256", f.raw),
    "HS256 with the public key as PEM": lambda f: f.by_secret("HS256", f.pem),
    "HS256 with the public key as in the JWKS": lambda f: f.by_secret("HS256", encoded(f.raw).encode()),
    "HS256 without a secret": lambda f: f.by_secret("HS256", b""),
    "HS384 with the public key": lambda f: f.by_secret("HS384", f.pem),
    "HS512 with the public key": lambda f: f.by_secret("HS512", f.pem),
    # keys
    "foreign key under our kid": lambda f: f.with_header(f.foreign),
    "foreign key under a kid of its own": lambda f: f.with_header(f.foreign, kid="mine"),
    "kid unknown": lambda f: f.with_header(kid="0" * 16),
    "kid missing": lambda f: f.with_header(kid=GONE),
    "kid null": lambda f: f.with_header(kid=None),
    "kid a number": lambda f: f.with_header(kid=0),
    "kid a list": lambda f: f.with_header(kid=[f.header["kid"]]),
    "kid a path": lambda f: f.with_header(kid="../../../../dev/null"),
    "kid an injection": lambda f: f.with_header(kid="x' UNION SELECT 'secret"),
    "kid half a surrogate pair": lambda f: f.with_header(kid="\ud800"),
    "foreign key in jwk": lambda f: f.with_header(f.foreign, kid="mine", jwk=f.jwk()),
    "foreign key in jwk under our kid": lambda f: f.with_header(f.foreign, jwk=f.jwk()),
    "foreign key at jku": lambda f: f.with_header(f.foreign, kid="mine", jku="http://127.0.0.1:1/jwks.json"),
    "foreign key at x5u": lambda f: f.with_header(f.foreign, x5u="http://127.0.0.1:1/cert.pem"),
    "foreign key in x5c": lambda f: f.with_header(f.foreign, x5c=[f.jwk()["x"]]),
    "foreign key at x5u under a kid of its own": lambda f: f.with_header(
        f.foreign, kid="mine", x5u="https://127.0.0.1:1/cert.pem"
    ),
    "kid a URL": lambda f: f.with_header(f.foreign, kid="http://127.0.0.1:1/jwks.json"),
    "kid a command": lambda f: f.with_header(f.foreign, kid="x|/bin/sleep 5"),
    "kid empty": lambda f: f.with_header(kid=""),
    "own key with a foreign jku beside it": lambda f: f.with_header(jku="http://127.0.0.1:1/jwks.json"),
    "own key with a jwk beside it": lambda f: f.with_header(jwk=f.jwk()),
    "own key with an x5u beside it": lambda f: f.with_header(x5u="http://127.0.0.1:1/cert.pem"),
    "curve Ed448": lambda f: _other_curve(f, "Ed448"),
    "curve P-256": lambda f: _other_curve(f, "ES256"),
    "curve P-256 called EdDSA": lambda f: _other_curve(f, "EdDSA"),
    # the rest of the header
    "crit": lambda f: f.with_header(crit=["exp"]),
    "crit empty": lambda f: f.with_header(crit=[]),
    "crit with an unencoded payload": lambda f: f.with_header(crit=["b64"], b64=False),
    "unencoded payload": lambda f: f.with_header(b64=False),
    "typ missing": lambda f: f.with_header(typ=GONE),
    "typ JWT": lambda f: f.with_header(typ="JWT"),
    "typ of a refresh token": lambda f: f.with_header(typ="rt+jwt"),
    "typ in capitals": lambda f: f.with_header(typ="AT+JWT"),
    "typ null": lambda f: f.with_header(typ=None),
    "header a list": lambda f: f.signed([f.header], f.claims),
    "header not JSON": lambda f: f.signed(b"{", f.claims),
    "header not UTF-8": lambda f: f.signed(b"\xff\xfe", f.claims),
    "header nested deep": lambda f: _deep(f, 1000),
    "header of an integer too long": lambda f: f.signed(b'{"alg":%s}' % (b"9" * 2000), f.claims),
    # claims
    **{f"{name} missing": without(name) for name in CLAIMS},
    "iss another": lambda f: f.with_claims(iss="mall.example"),
    "iss in capitals": lambda f: f.with_claims(iss="Mall"),
    "iss a list": lambda f: f.with_claims(iss=["mall", "evil"]),
    "aud another": lambda f: f.with_claims(aud="mall-web"),
    "aud a list of others": lambda f: f.with_claims(aud=["mall-web", "x"]),
    "aud empty": lambda f: f.with_claims(aud=[]),
    "expired long ago": lambda f: f.with_claims(exp=f.claims["iat"] - 3600),
    "expired before it was issued": lambda f: f.with_claims(exp=f.claims["iat"] - 11),
    "expired beyond the leeway": lambda f: _lived(f, 15),
    "expired an hour ago": lambda f: _lived(f, 3600),
    "lives for eleven minutes": lambda f: f.with_claims(exp=f.claims["iat"] + 660),
    "lives for ever": lambda f: f.with_claims(exp=4_000_000_000),
    "lives as long as a minted one": lambda f: f.with_claims(exp=f.claims["iat"] + 12 * 3600),
    "minted for a year": lambda f: f.with_claims(sid="mnt_1", exp=f.claims["iat"] + 365 * 86400),
    "iat in the future": lambda f: f.with_claims(iat=f.claims["iat"] + 300),
    "iat negative": lambda f: f.with_claims(iat=-1),
    "iat a text": lambda f: f.with_claims(iat=str(f.claims["iat"])),
    "iat a fraction": lambda f: f.with_claims(iat=f.claims["iat"] + 0.5),
    "exp past all years": lambda f: f.with_claims(exp=10**18),
    "exp infinite": lambda f: f.signed(f.header, json.dumps(f.claims | {"exp": float("inf")}).encode()),
    "nbf a text": lambda f: f.with_claims(nbf="0"),
    "aud ours among others": lambda f: f.with_claims(aud=["mall-api", "mall-web"]),
    "client another": lambda f: f.with_claims(client_id="evil-app"),
    "client a list": lambda f: f.with_claims(client_id=["mall-app"]),
    "role twice": lambda f: _twice(f, "role", "admin"),
    "sub twice": lambda f: _twice(f, "sub", "usr_1"),
    "exp twice": lambda f: _twice(f, "exp", 4_000_000_000),
    "header member twice": lambda f: f.signed(
        ('{"alg":"none",' + json.dumps(f.header)[1:]).encode(), f.claims
    ),
    "a token within a token": _nested,
    "exp zero": lambda f: f.with_claims(exp=0),
    "exp a text": lambda f: f.with_claims(exp=str(f.claims["exp"])),
    "exp a fraction": lambda f: f.with_claims(exp=f.claims["exp"] + 0.5),
    "exp true": lambda f: f.with_claims(exp=True),
    "exp null": lambda f: f.with_claims(exp=None),
    "not yet": lambda f: f.with_claims(nbf=f.claims["exp"]),
    "sub a number": lambda f: f.with_claims(sub=3),
    "sub no number": lambda f: f.with_claims(sub="usr_"),
    "sub an order": lambda f: f.with_claims(sub="ord_1"),
    "role null": lambda f: f.with_claims(role=None),
    "role a list": lambda f: f.with_claims(role=["driver", "admin"]),
    "sid a number": lambda f: f.with_claims(sid=7),
    "sid empty": lambda f: f.with_claims(sid=""),
    "jti empty": lambda f: f.with_claims(jti=""),
    "jti a number": lambda f: f.with_claims(jti=7),
    "claims a list": lambda f: f.signed(f.header, [f.claims]),
    "claims a text": lambda f: f.signed(f.header, "usr_3"),
    "claims not JSON": lambda f: f.signed(f.header, b"{"),
    "claims empty": lambda f: f.signed(f.header, {}),
    # tampering
    "made an admin": lambda f: _another_payload(f, role="admin"),
    "made somebody else": lambda f: _another_payload(f, sub="usr_1"),
    "made to live longer": lambda f: _another_payload(f, exp=f.claims["exp"] + 3600),
    "signature cut": lambda f: f.good[:-10],
    "signature cut to nothing": lambda f: f"{f.parts[0]}.{f.parts[1]}.",
    "signature missing": lambda f: f"{f.parts[0]}.{f.parts[1]}",
    "signature of zeros": lambda f: f"{f.parts[0]}.{f.parts[1]}.{encoded(bytes(64))}",
    "signature twice": lambda f: f.good + f.parts[2],
    "last character of the same bytes": lambda f: _last_character(f.good),
    "padded": lambda f: f.good + "=",
    "padded twice": lambda f: f.good + "==",
    "padded inside": lambda f: f"{f.parts[0]}=.{f.parts[1]}.{f.parts[2]}",
    "a dot behind": lambda f: f.good + ".",
    "a fourth part": lambda f: f.good + ".x",
    "five parts": lambda f: f.good + ".x.y",
    "a foreign character in the signature": lambda f: f.good[:-5] + "!" + f.good[-5:],
    "a space in the signature": lambda f: f.good[:-5] + " " + f.good[-5:],
    "in capitals": lambda f: f.good.upper(),
    "only dots": lambda f: ".." + "." * 30,
    "no token": lambda f: "00000000-0000-0000-0000-000000000000",
    "as a JSON object": lambda f: json.dumps(dict(zip(("protected", "payload", "signature"), f.parts, strict=True))),
    "as a flat JSON object": lambda f: json.dumps({"payload": f.parts[1], "signatures": [{"protected": f.parts[0]}]}),
    "as an encrypted token of five parts": lambda f: ".".join([f.parts[0], "", *f.parts]),
    "standard base64 with plus and slash": lambda f: f.good.replace("-", "+").replace("_", "/") + "+/",
    "refresh token": lambda f: "ref_" + "0" * 64,
    "ticket": lambda f: "tkt_" + "0" * 64,
    "over 4 KiB": lambda f: f.with_claims(filler="x" * 3500),
    "6 KiB of nothing": lambda f: "A" * 6000,
}  # fmt: skip


async def test_the_forge_makes_tokens_that_are_good_where_nothing_is_wrong(
    server: RunningServer, token_forge: TokenForge
) -> None:
    for token in (token_forge.good, token_forge.with_header(), token_forge.with_claims(jti="another")):
        answer = await server.send("GET", "/api/v2/me", [("Authorization", f"Bearer {token}")])
        assert (answer.status, answer.json["role"]) == (200, "driver")


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_a_token_that_is_not_ours_opens_nothing(
    server: RunningServer, token_forge: TokenForge, attack: Callable[[TokenForge], str]
) -> None:
    token = attack(token_forge)
    for path in ("/api/v2/me", "/api/v2/drivers/me"):
        answer = await server.send("GET", path, [("Authorization", f"Bearer {token}")])
        refusal(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="mall", error="invalid_token"'
        assert token not in repr(answer)


def test_the_attacks_are_many_and_no_two_are_one(token_forge: TokenForge) -> None:
    assert len(ATTACKS) >= 100
    assert len({attack(token_forge) for attack in ATTACKS.values()}) == len(ATTACKS)


@pytest.mark.usefixtures("database_unchanged")
async def test_no_such_token_opens_a_socket(server: RunningServer, token_forge: TokenForge) -> None:
    upgrade = [
        ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()), ("Sec-WebSocket-Protocol", "malldrive.v1"),
    ]  # fmt: skip
    for label, attack in ATTACKS.items():
        headers = [*upgrade, ("Authorization", f"Bearer {attack(token_forge)}")]
        answer = await server.send("GET", "/api/v2/drivers/feed", headers)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), label


@pytest.mark.usefixtures("database_unchanged")
async def test_no_such_token_prolongs_a_socket(server: RunningServer, token_forge: TokenForge) -> None:
    said = {}
    for label, attack in ATTACKS.items():
        async with server.feed("driver") as ws:
            await ws.send_json({"t": "auth.refresh", "id": label, "token": attack(token_forge)})
            said[label] = await ws.receive_json(timeout=5)
            assert (said[label]["t"], said[label]["id"]) == ("error", label)
    unfit = {"over 4 KiB", "6 KiB of nothing"}
    assert {label for label, frame in said.items() if frame["code"] == "bad_frame"} == unfit
    assert {frame["code"] for label, frame in said.items() if label not in unfit} == {"unauthenticated"}
    assert LEAK.search(json.dumps(said)) is None


async def test_a_token_dies_with_its_session(server: RunningServer) -> None:
    body = json.dumps({"email": "other@mall.example", "password": "another customer"}).encode()
    pair = (await server.write("auth.login", body)).json
    bearer = [("Authorization", f"Bearer {pair['access_token']}")]
    assert (await server.send("GET", "/api/v2/me", bearer)).status == 200
    assert (await server.send("POST", "/api/v2/auth/logout", bearer)).status == 204
    refusal(await server.send("GET", "/api/v2/me", bearer), 401, "unauthenticated")
    refresh = json.dumps({"refresh_token": pair["refresh_token"]}).encode()
    refusal(await server.write("auth.refresh", refresh), 401, "invalid_refresh_token")


async def test_a_role_that_nobody_has_may_nothing(server: RunningServer, token_forge: TokenForge) -> None:
    token = token_forge.with_claims(role="root")
    for path in ("/api/v2/me", "/api/v2/users"):
        refusal(await server.send("GET", path, [("Authorization", f"Bearer {token}")]), 403, "forbidden")
