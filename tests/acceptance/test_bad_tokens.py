"""Forged, broken and misused access tokens: each is refused at the door and inside an open socket alike."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.acceptance.bad_input import LEAK, Target, refusal
from tests.acceptance.forge import GONE, Forge, encoded

pytest_plugins = ("tests.acceptance.bad_input_server",)


def _last_character(token: str) -> str:
    """The same bytes by another last character: its lowest bits mean nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) ^ 1]


def _another_payload(f: Forge, **changes: object) -> str:
    """The claims changed, the signature kept."""
    return f"{f.parts[0]}.{encoded(f.claims | changes)}.{f.parts[2]}"


def _deep(f: Forge, times: int) -> str:
    return f"{encoded(b'[' * times + b']' * times)}.{f.parts[1]}.{f.parts[2]}"


def without(claim: str) -> Callable[[Forge], str]:
    return lambda f: f.with_claims(**{claim: GONE})


CLAIMS = ("iss", "aud", "sub", "exp", "iat", "jti", "sid", "role")
ATTACKS: dict[str, Callable[[Forge], str]] = {
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
    # the rest of the header
    "crit": lambda f: f.with_header(crit=["exp"]),
    "crit empty": lambda f: f.with_header(crit=[]),
    "crit with an unencoded payload": lambda f: f.with_header(crit=["b64"], b64=False),
    "unencoded payload": lambda f: f.with_header(b64=False),
    "typ missing": lambda f: f.with_header(typ=GONE),
    "typ JWT": lambda f: f.with_header(typ="JWT"),
    "typ of a refresh token": lambda f: f.with_header(typ="rt+jwt"),
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
    "expired eleven seconds ago": lambda f: f.with_claims(exp=f.claims["iat"] - 11),
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
    "refresh token": lambda f: "ref_" + "0" * 64,
    "ticket": lambda f: "tkt_" + "0" * 64,
    "over 4 KiB": lambda f: f.with_claims(filler="x" * 3500),
    "6 KiB of nothing": lambda f: "A" * 6000,
}  # fmt: skip


async def test_the_forge_makes_tokens_that_are_good_where_nothing_is_wrong(
    target: Target, forge: Forge
) -> None:
    for token in (forge.good, forge.with_header(), forge.with_claims(jti="another")):
        answer = await target.send("GET", "/api/v2/me", [("Authorization", f"Bearer {token}")])
        assert (answer.status, answer.json["role"]) == (200, "driver")


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_a_token_that_is_not_ours_opens_nothing(
    target: Target, forge: Forge, attack: Callable[[Forge], str]
) -> None:
    token = attack(forge)
    for path in ("/api/v2/me", "/api/v2/drivers/me"):
        answer = await target.send("GET", path, [("Authorization", f"Bearer {token}")])
        refusal(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="mall", error="invalid_token"'
        assert token not in repr(answer)


@pytest.mark.usefixtures("nothing_changes")
async def test_no_such_token_prolongs_a_socket(target: Target, forge: Forge) -> None:
    said = {}
    for label, attack in ATTACKS.items():
        async with target.feed("driver") as ws:
            await ws.send_json({"t": "auth.refresh", "id": label, "token": attack(forge)})
            said[label] = await ws.receive_json(timeout=5)
            assert (said[label]["t"], said[label]["id"]) == ("error", label)
    unfit = {"over 4 KiB", "6 KiB of nothing"}
    assert {label for label, frame in said.items() if frame["code"] == "bad_frame"} == unfit
    assert {frame["code"] for label, frame in said.items() if label not in unfit} == {"unauthenticated"}
    assert LEAK.search(json.dumps(said)) is None


async def test_a_token_dies_with_its_session(target: Target) -> None:
    body = json.dumps({"email": "other@mall.example", "password": "another customer"}).encode()
    pair = (await target.write("auth.login", body)).json
    bearer = [("Authorization", f"Bearer {pair['access_token']}")]
    assert (await target.send("GET", "/api/v2/me", bearer)).status == 200
    assert (await target.send("POST", "/api/v2/auth/logout", bearer)).status == 204
    refusal(await target.send("GET", "/api/v2/me", bearer), 401, "unauthenticated")
    refresh = json.dumps({"refresh_token": pair["refresh_token"]}).encode()
    refusal(await target.write("auth.refresh", refresh), 401, "invalid_refresh_token")


async def test_a_role_that_nobody_has_may_nothing(target: Target, forge: Forge) -> None:
    token = forge.with_claims(role="root")
    for path in ("/api/v2/me", "/api/v2/users"):
        refusal(await target.send("GET", path, [("Authorization", f"Bearer {token}")]), 403, "forbidden")
