"""The page that shows the documents: all of them, and without a word from elsewhere."""

from __future__ import annotations

import re

from tests.acceptance.in_process.in_process_server import InProcessServer

REST = ("/api/v2/openapi.json", "/api/v1/openapi.json")
FEED = "/api/v2/asyncapi.json"


async def test_the_page_offers_every_document_that_is_served(server: InProcessServer) -> None:
    page = (await server.ask("", "GET", "/docs")).body.decode()
    [listed] = re.findall('data-documents="([^"]*)"', page)
    served = [path for path in (*REST, FEED) if (await server.ask("", "GET", path)).status == 200]
    assert listed.split() == served
    assert {REST[0], FEED} <= set(served)
    for path in served:
        answer = await server.ask("", "GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json["info"]["title"].startswith("Mall Delivery Dispatch")


async def test_nothing_on_the_page_comes_from_elsewhere(server: InProcessServer) -> None:
    page = await server.ask("", "GET", "/docs")
    policy = dict(part.split(maxsplit=1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    parts = re.findall('(?:src|href)="(/docs/[^"]+)"', page.body.decode())
    assert len(parts) == 2
    for path in ("/docs", *parts):
        text = (await server.ask("", "GET", path)).body.decode()
        assert re.findall(r"https?:|//[a-z]+\.[a-z]|@import|url\(|innerHTML|eval\(|style=", text) == []


async def test_links_of_the_page_lead_somewhere(server: InProcessServer) -> None:
    page = (await server.ask("", "GET", "/docs")).body.decode()
    for path in re.findall('(?:src|href)="(/[^"]+)"', page):
        assert (await server.ask("", "GET", path)).status == 200


async def test_document_that_is_known_is_not_sent_again(server: InProcessServer) -> None:
    for path in (REST[0], FEED, "/problems"):  # version 1 has no tags
        first = await server.ask("", "GET", path)
        again = await server.ask("", "GET", path, None, ("If-None-Match", first.headers["etag"]))
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
        other = await server.ask("", "GET", path, None, ("If-None-Match", '"yesterday"'))
        assert (other.status, other.body) == (200, first.body)
