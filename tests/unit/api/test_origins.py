"""Pages of our own origin, allowed ones and apps with a token open the feed; other pages do not."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from api.feed.origins import may_open

ALLOWED = ("https://shop.example", "capacitor://localhost")


def opens(origin: str | None, host: str = "mall.example", token: str = "") -> bool:
    headers = {"Host": host}
    if origin is not None:
        headers["Origin"] = origin
    if token:
        headers["Authorization"] = token
    return may_open(make_mocked_request("GET", "/", headers=headers), ALLOWED)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://mall.example", "mall.example"),
        ("http://mall.example", "mall.example"),
        ("https://mall.example", "mall.example:443"),
        ("http://mall.example", "Mall.Example:80"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_page_of_our_own_origin_always_may(origin: str, host: str) -> None:
    assert opens(origin, host)


@pytest.mark.parametrize("origin", [*ALLOWED, None])
def test_allowed_page_and_what_is_no_page_may(origin: str | None) -> None:
    assert opens(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "https://mall.example.evil", "https://mall.example:8443", "http://mall.example:443",
        "null", "", "mall.example", "file://", "capacitor://mall.example", "https://",
    ],
)  # fmt: skip
def test_page_of_another_origin_may_not_without_a_token(origin: str) -> None:
    assert not opens(origin)
    assert opens(origin, token="Bearer x")
