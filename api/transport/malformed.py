"""Checks of parsed requests that must not be answered. A refusal repeats nothing of the request."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

# RFC 9112 advises 8000, for forms and the like; the longest target of this API has a tenth of that.
TARGET_BYTES_MAX = 4096
# Name and value of one header together.
HEADER_BYTES_MAX = 8192
HEADERS_MAX = 64
# In the form of aiohttp's options.
HEAD_LIMITS: dict[str, Any] = {
    "max_line_size": TARGET_BYTES_MAX,
    "max_field_size": HEADER_BYTES_MAX,
    "max_headers": HEADERS_MAX,
}
# Request line and all headers. Without this limit one head could be half a megabyte.
HEAD_BYTES_MAX = 64 * 1024
# Cache of checked host names: a client sends one name for years, an attacker any number.
_HOSTS_MAX = 64
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(r"(?i:https?)://([^/?#]*)")

_hosts: set[str] = set()


def is_plain(request: web.BaseRequest, is_upgrade: bool) -> bool:
    """True for a request without anything to check, as nearly all are. CONNECT counts as an upgrade."""
    headers = request.headers
    return (
        request.version is HttpVersion11
        and (target := request.raw_path)[0] == "/"
        and "#" not in target
        and headers.get(hdrs.HOST) in _hosts
        and hdrs.TRANSFER_ENCODING not in headers
        and not is_upgrade
    )


def fault_of(request: web.BaseRequest) -> str | None:
    """Reason to refuse a request that the parser accepted; None when nothing is wrong.

    Two parsers may read a refused request as two different ones: they disagree about its end (RFC 9112, 6.1), or
    about its host (RFC 9112, 3.2).
    """
    headers = request.headers
    if request.method == hdrs.METH_CONNECT:
        return "method"  # only a proxy takes it
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    if request.version == HttpVersion10:
        if coding is not None:
            return "framing"
    elif request.version != HttpVersion11:
        return "request_line"
    elif coding is not None and coding.lower() != "chunked":
        return "framing"
    host = headers.get(hdrs.HOST, "")
    if host and not _is_host(host):
        return "host"
    return _fault_of_target(request, host)


def leaves_http(request: web.BaseRequest) -> bool:
    """True when a client asks for an upgrade to a protocol that is not spoken here, for example `h2c`.

    aiohttp's parser drops the bytes after this request in the same packet, so the start of the next one is unknown.
    """
    return request.headers.get(hdrs.UPGRADE, "").lower() != "websocket"


def _is_host(host: str) -> bool:
    if host in _hosts:
        return True
    if _HOST.fullmatch(host) is None:
        return False
    if len(_hosts) >= _HOSTS_MAX:
        _hosts.clear()
    _hosts.add(host)
    return True


def _fault_of_target(request: web.BaseRequest, host: str) -> str | None:
    target = request.raw_path
    if target.startswith("/"):
        return "target" if "#" in target else None
    found = _ABSOLUTE.match(target)
    if found is None or not found[1] or found[1].lower() != host.lower():
        return "target"
    return None
