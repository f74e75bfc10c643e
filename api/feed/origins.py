"""Origins whose pages may open a feed.

A browser names the origin of its page, and no page can change that; other clients can send any origin. The check keeps
out pages that could use a browser's credentials. A bearer token needs no check, for no browser lets a page set that
header on a WebSocket.
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
REFUSED = (
    "The page's Origin is neither this server's own nor one of MALL_CORS_ORIGINS. An app that sends an Authorization "
    "header needs neither."
)


def may_open(request: web.BaseRequest, allowed: Collection[str]) -> bool:
    """False for a page whose origin is neither our own nor allowed."""
    headers = request.headers
    origin = headers.get("Origin")
    if origin is None or "Authorization" in headers or origin in allowed:
        return True
    return _is_same(origin, headers.get("Host", ""))


def _is_same(origin: str, host: str) -> bool:
    """True when page and request have the same host. The scheme is known only to a proxy before us."""
    scheme, _, page = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if port is None or not page or not host:
        return False
    return page.removesuffix(port) == host.lower().removesuffix(port)
