"""Pages for browsers as the server sends them: all that a page names is there, and nothing else can be reached."""

from __future__ import annotations

import gzip
import re

import pytest

from api.pages.registry import PAGES, WebPage, policy_of
from tests.acceptance.raw_http import RunningServer, refusal

COMPRESSED = [("Accept-Encoding", "gzip, br")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("rest", ["", "/", "/orders/ord_1", "/orders?status=confirmed&x=1"])
async def test_page_answers_at_every_address_below_its_own(
    server: RunningServer, page: WebPage, rest: str
) -> None:
    answer = await server.send("GET", page.path + rest)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == page.policy


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_every_file_that_a_page_names_is_sent_compressed(server: RunningServer, page: WebPage) -> None:
    shown = await server.send("GET", page.path)
    for path in sorted(set(re.findall(rb'(?:href|src)="(/pages/[^"]+)"', shown.body))):
        answer = await server.send("GET", path.decode(), COMPRESSED)
        assert answer.status == 200, path
        if answer.headers.get("content-encoding") == "gzip":
            assert gzip.decompress(answer.body)
        else:
            assert path.endswith((b".woff2", b".svg", b".png"))


async def test_file_that_the_browser_has_is_not_sent_again(server: RunningServer) -> None:
    path = "/pages/design/base.css"
    first = await server.send("GET", path, COMPRESSED)
    again = await server.send("GET", path, [*COMPRESSED, ("If-None-Match", first.headers["etag"])])
    assert (again.status, again.body) == (304, b"")
    plain = await server.send("GET", path, [("If-None-Match", first.headers["etag"])])
    assert plain.status == 200, "another form has another tag"


@pytest.mark.parametrize(
    "path",
    [
        "/pages/", "/pages/serving.py", "/pages/package.json", "/pages/node_modules/preact/package.json",
        "/pages/console/index.html", "/pages/console/../package.json", "/pages/console/%2e%2e/package.json",
        "/pages/%2e%2e%2f%2e%2e%2fsetup.cfg", "/pages//etc/passwd", "/pages/vendor/axe.js", "/pages/console/app.js/",
    ],
)  # fmt: skip
async def test_nothing_else_of_the_server_can_be_reached(server: RunningServer, path: str) -> None:
    refusal(await server.send("GET", path), 404, "not_found")


async def test_worker_of_the_drivers_app_may_serve_its_page_and_nothing_else(server: RunningServer) -> None:
    answer = await server.send("GET", "/pages/drive/service_worker.js")
    assert (answer.status, answer.headers["service-worker-allowed"]) == (200, "/drive")
    assert answer.headers["content-security-policy"] == policy_of()
    other = await server.send("GET", "/pages/drive/malldrive.js")
    assert "service-worker-allowed" not in other.headers


async def test_file_takes_no_query(server: RunningServer) -> None:
    refusal(await server.send("GET", "/pages/design/base.css?v=1"), 422, "invalid")
