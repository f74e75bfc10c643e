"""Which version answers: the path, the header, the default; and what each answer says of its version."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from api.v1.routes import TABLE
from loadtests.kit.client import open_http
from loadtests.kit.server import open_server
from tests.acceptance.raw_http import RunningServer
from tests.acceptance.shared_server.versions.two_versions import BothVersions, Reply

NAME = "Mall-Api-Version"
ONE = ["1", "2026-01-15"]
TWO = ["2", "2026-11-01"]


def version_of(reply: Reply) -> str:
    """The version that answered: by its header, and by the form of its answer."""
    shown = str(reply.headers[NAME])
    assert NAME in ", ".join(reply.headers.getall("Vary"))
    assert ("Deprecation" in reply.headers) == (shown == "1")
    return shown


@pytest.mark.parametrize("given", [*ONE, *TWO, f" {TWO[1]} "])
async def test_a_path_without_a_version_is_served_by_the_one_that_the_header_names(
    client: BothVersions, given: str
) -> None:
    reply = await client.ask("GET", f"stores/{client.store}", role="admin", headers=[(NAME, given)])
    other = await client.ask("GET", f"stores/sto_{client.store}", role="admin", headers=[(NAME, given)])
    if given in ONE:
        assert (reply.status, reply.json["id"], version_of(reply)) == (200, client.store, "1")
        assert (other.status, other.json["error"], version_of(other)) == (404, "not_found", "1")
    else:
        assert (reply.status, reply.json["code"], version_of(reply)) == (404, "not_found", "2")
        assert (other.status, other.json["id"], version_of(other)) == (200, f"sto_{client.store}", "2")


async def test_a_request_that_names_no_version_gets_version_2_since_it_is_for_everybody(
    client: BothVersions,
) -> None:
    reply = await client.ask("GET", f"stores/sto_{client.store}", role="admin")
    assert (reply.status, version_of(reply)) == (200, "2")


@pytest.mark.parametrize(
    "given", ["3", "0", "", "1.0", "v1", "2026-01-16", "2025-01-01", "latest", "1, 2", "２"]
)
@pytest.mark.parametrize("path", ["orders", "v1/orders", "v2/orders", "nothing"])
async def test_a_version_that_does_not_exist_is_refused_with_those_that_do(
    client: BothVersions, path: str, given: str
) -> None:
    reply = await client.ask("GET", path, headers=[(NAME, given)])
    assert reply.status == 400, reply
    assert reply.json.get("code", reply.json.get("error")) == "version_unsupported"
    assert reply.json["supported"] == ["1", "2", "2026-01-15", "2026-11-01"]
    assert version_of(reply) == ("1" if path.startswith("v1") else "2")


async def test_two_headers_that_differ_are_refused(client: BothVersions) -> None:
    reply = await client.ask("GET", "orders", headers=[(NAME, "1"), (NAME, "2")])
    assert (reply.status, reply.json["code"]) == (400, "version_unsupported")
    same = await client.ask("GET", "orders", role="customer", headers=[(NAME, "2"), (NAME, TWO[1])])
    assert same.status == 200


@pytest.mark.parametrize(
    "path", ["v1/orders", "v1/me", "v2/orders", "v2/me", "v2/orders/ord_1", "v1/orders/1"]
)
@pytest.mark.parametrize("given", [*ONE, *TWO])
async def test_path_and_header_must_agree(client: BothVersions, path: str, given: str) -> None:
    own = path[1]
    reply = await client.ask("GET", path, headers=[(NAME, given)])
    assert version_of(reply) == own
    if given in {"1": ONE, "2": TWO}[own]:
        assert reply.status == 401
    else:
        assert reply.status == 400
        assert reply.json.get("code", reply.json.get("error")) == "version_conflict"
        assert (reply.json["path_version"], reply.json["header_version"]) == (
            own,
            "1" if given in ONE else "2",
        )


async def test_a_version_in_the_path_that_does_not_exist_is_refused(client: BothVersions) -> None:
    for path in ("v3/orders", "v0/orders", "v10"):
        reply = await client.ask("GET", path)
        assert (reply.status, reply.json["code"]) == (400, "version_unsupported")


async def test_an_unknown_path_or_method_is_refused_as_the_version_would(client: BothVersions) -> None:
    for path, header, version in (("v1/no", (), "1"), ("v2/no", (), "2"), ("no", "1", "1"), ("no", "2", "2")):
        reply = await client.ask("GET", path, headers=[(NAME, header)] if header else [])
        assert (reply.status, version_of(reply)) == (404, version)
        assert ("error" if version == "1" else "code") in reply.json
    for version, method, allowed in (
        ("1", "PATCH", {"GET", "PUT", "DELETE"}),
        ("2", "PUT", {"GET", "HEAD", "PATCH", "DELETE"}),
    ):
        reply = await client.ask(method, "stores/1", {}, role="admin", headers=[(NAME, version)])
        assert (reply.status, version_of(reply)) == (405, version)
        assert set(reply.headers["Allow"].split(",")) - {"OPTIONS"} == allowed


async def test_unversioned_paths_reach_every_operation_of_both_versions(
    server: RunningServer, client: BothVersions
) -> None:
    """The feed, too: an upgrade without a protocol is refused by the handshake itself."""
    reply = await client.ask("GET", "drivers/feed", role="courier")
    assert (reply.status, version_of(reply)) == (426, "2")
    for row in TABLE:
        path = row.path.removeprefix("/api/v1/").replace("{id}", "1")
        reply = await client.ask(row.method, path, headers=[(NAME, "1")])
        assert reply.status not in (404, 405), row


@pytest.mark.parametrize("path", ["stores", "me", "orders/17", "no-such-path"])
async def test_every_answer_names_its_version(client: BothVersions, path: str) -> None:
    for number in "12":
        for role in ("", "customer"):
            assert version_of(await client.ask("GET", f"v{number}/{path}", role=role)) == number


def check_dated(reply: Reply, path: str) -> None:
    """Every answer of version 1 says when it ends, and where to go."""
    headers = reply.headers
    assert version_of(reply) == "1"
    assert headers["Deprecation"].startswith("@")
    deprecated = int(headers["Deprecation"][1:])
    sunset = parsedate_to_datetime(headers["Sunset"])
    assert headers["Sunset"].endswith(" GMT")
    assert sunset.timestamp() >= deprecated
    links = {part.partition("rel=")[2].split(";")[0].strip('"'): part for part in headers["Link"].split(", ")}
    assert links.keys() == {"deprecation", "sunset", "successor-version"}
    assert links["successor-version"].startswith(f"</api/v2/{path}"), links


async def test_every_answer_of_version_1_is_dated(client: BothVersions) -> None:
    number = await client.ordered()
    asked: tuple[tuple[str, str, Any, str, int, str], ...] = (
        ("GET", f"orders/{number}", None, "customer", 200, f"orders/ord_{number}"),
        ("POST", "orders", client.order(), "customer", 201, "orders"),
        ("PUT", "drivers/me/location", {"lat": 52.5, "lng": 13.4}, "courier", 204, "drivers/me/location"),
        ("POST", "orders", {}, "customer", 422, "orders"),
        ("GET", "orders/999999999", None, "customer", 404, "orders/ord_999999999"),
        ("GET", "orders/x", None, "customer", 404, "orders"),
        ("GET", "orders", None, "", 401, "orders"),
        ("POST", "stores", {}, "customer", 403, "stores"),
        ("PATCH", "stores", {}, "customer", 405, "openapi.json"),
        ("GET", "nothing", None, "customer", 404, "openapi.json"),
        ("GET", "openapi.json", None, "", 200, "openapi.json"),
    )
    for method, path, body, role, status, successor in asked:
        reply = await client.ask(method, f"v1/{path}", body, role=role)
        assert reply.status == status, reply
        check_dated(reply, successor)
        if status >= 400:
            assert {"error", "message", "details", "trace_id"} <= reply.json.keys()


async def test_refusals_before_any_route_are_dated_too(server: RunningServer) -> None:
    answer = await server.send("POST", "/api/v1/orders", [("Expect", "magic"), ("Content-Length", "0")])
    assert (answer.status, answer.json["error"]) == (417, "expectation_failed")
    assert (answer.headers["mall-api-version"], "deprecation" in answer.headers) == ("1", True)


async def test_the_guide_that_every_answer_links_to_is_there(client: BothVersions) -> None:
    async with client.http.get(f"{client.url}/docs/migration") as response:
        assert (response.status, response.content_type) == (200, "text/markdown")
        assert "If-Match" in await response.text()


async def test_the_list_of_versions_tells_their_dates(client: BothVersions) -> None:
    shown = (await client.ask("GET", "versions")).json
    old, new = shown["versions"]
    assert (shown["default"], old["version"], old["status"], new["version"], new["status"]) == (
        "2", "1", "deprecated", "2", "current",
    )  # fmt: skip
    assert (old["date"], new["date"]) == (ONE[1], TWO[1])
    assert old["deprecation"] == "2026-11-01T00:00:00Z"
    assert old["sunset"] == "2028-11-01T00:00:00Z"
    assert (new["deprecation"], new["sunset"]) == (None, None)


async def test_requests_are_counted_by_version(server: RunningServer, client: BothVersions) -> None:
    async def counts() -> list[float]:
        async with client.http.get(f"{server.process.ops_url}/metrics") as response:
            text = await response.text()
        lines = [line for line in text.splitlines() if line.startswith("mall_api_requests_total{")]
        return [sum(float(line.split()[-1]) for line in lines if f'version="{v}"' in line) for v in "12"]

    before = await counts()
    for path in ("v1/me", "v1/me", "v2/me", "me", "versions"):
        await client.ask("GET", path, role="customer")
    after = await counts()
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 2]


# -- servers at other moments of version 1's life ---------------------------------------------------------


async def _login(http: aiohttp.ClientSession, url: str) -> BothVersions:
    client = BothVersions(http, url, {})
    person = {"email": "customer@mall.example", "password": "sample-customer"}
    client.tokens["customer"] = (await client.good("POST", "v2/auth/login", person, role=""))["access_token"]
    return client


async def test_before_version_2_is_for_everybody_version_1_is_the_default_and_its_limits_are_shown(
    tmp_path: Path,
) -> None:
    environ = {
        "MALL_API_V1_DEPRECATED_AT": "2100-01-01T00:00:00Z",
        "MALL_API_V1_SUNSET_AT": "2100-01-01T00:00:00Z",
        "MALL_RATE_LIMITS": "on",
        "MALL_LOG_LEVEL": "info",
    }
    async with open_server(tmp_path, environ) as server, open_http() as http:
        client = await _login(http, server.url)
        reply = await client.ask("GET", "stores", role="customer")
        assert (reply.status, version_of(reply)) == (200, "1")
        assert reply.json["page"] == 1
        shown = (await client.ask("GET", "versions")).json
        assert [shown["default"], *(v["status"] for v in shown["versions"])] == ["1", "current", "preview"]
        login = {"email": "nobody@mall.example", "password": "wrong password"}
        # Five failures are good, and one more for the account that has logged in from here.
        for _ in range(6):
            assert (await client.ask("POST", "v1/auth/login", login)).status == 401
        reply = await client.ask("POST", "v1/auth/login", login)
        assert (reply.status, reply.json["error"]) == (429, "rate_limited")
        assert int(reply.headers["Retry-After"]) > 0
        check_dated(reply, "auth/login")
        # One limit for both versions: they are one server.
        assert (await client.ask("POST", "v2/auth/login", login)).status == 429
    lines = [json.loads(line) for line in server.log_path.read_text().splitlines() if line.startswith("{")]
    told = {(line["route"], line["api_version"]) for line in lines if line["event"] == "answered_request"}
    assert {("/api/v1/stores", "1"), ("/api/v2/auth/login", "2")} <= told


async def test_after_its_end_version_1_is_gone_and_says_where_to_go(tmp_path: Path) -> None:
    environ = {
        "MALL_API_V1_DEPRECATED_AT": "2020-01-01T00:00:00Z",
        "MALL_API_V1_SUNSET_AT": "2020-01-02T00:00:00Z",
    }
    async with open_server(tmp_path, environ) as server, open_http() as http:
        client = await _login(http, server.url)
        for path, header in (("v1/me", ()), ("v1/openapi.json", ()), ("v1/no", ()), ("me", [(NAME, "1")])):
            reply = await client.ask("GET", path, role="customer", headers=header)
            assert (reply.status, reply.json["error"]) == (410, "version_gone")
            assert reply.json["migration"] == "/docs/migration"
            check_dated(reply, "")
        assert (await client.ask("GET", "v2/me", role="customer")).status == 200
        assert (await client.ask("GET", "me", role="customer")).status == 200
        assert (await client.ask("GET", "versions")).json["versions"][0]["status"] == "gone"


async def test_during_a_brownout_version_1_is_away_for_a_known_time(tmp_path: Path) -> None:
    now = int(datetime.now(UTC).timestamp())
    begin, end = (datetime.fromtimestamp(now + s, UTC).isoformat() for s in (-60, 3600))
    environ = {"MALL_API_V1_BROWNOUTS": f"2020-01-01T00:00:00Z/2020-01-01T01:00:00Z, {begin}/{end}"}
    async with open_server(tmp_path, environ) as server, open_http() as http:
        client = await _login(http, server.url)
        reply = await client.ask("GET", "v1/me", role="customer")
        assert (reply.status, reply.json["error"]) == (503, "version_brownout")
        assert 3000 < int(reply.headers["Retry-After"]) <= 3600
        check_dated(reply, "me")
        assert (await client.ask("GET", "v2/me", role="customer")).status == 200
        assert len((await client.ask("GET", "versions")).json["versions"][0]["brownouts"]) == 2


def test_an_end_before_the_deprecation_does_not_start() -> None:
    from config.settings import SettingsError, load_settings

    wrong: dict[str, Any] = {
        "MALL_API_V1_SUNSET_AT": "2026-10-31T00:00:00Z",
        "MALL_API_V1_BROWNOUTS": "2028-10-01T12:00:00Z",
    }
    for name, value in wrong.items():
        with pytest.raises(SettingsError, match=name):
            load_settings({name: value})
    with pytest.raises(SettingsError, match="MALL_API_V1_BROWNOUTS"):
        load_settings({"MALL_API_V1_BROWNOUTS": "2028-10-02T00:00:00Z/2028-10-01T00:00:00Z"})
