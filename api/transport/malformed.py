"""What is wrong with a request that cannot be read, or must not be. Nothing of it is repeated in the answer."""

from __future__ import annotations

import re

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import (
    BadHttpMethod,
    BadStatusLine,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    TransferEncodingError,
)

# RFC 9112 advises 8000, for forms and the like; the longest target of this API has a tenth of it.
TARGET_BYTES_MAX = 4096
# One header, its name and its value together.
HEADER_BYTES_MAX = 8192
HEADERS_MAX = 64
# All of them, and the request line. Without it one head could be half a megabyte.
HEAD_BYTES_MAX = 64 * 1024
# Host names that were looked at: a client says the same for years, an attacker anything.
_HOSTS_MAX = 64
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(r"(?i:https?)://([^/?#]*)")

_hosts: set[str] = set()

Verdict = tuple[str, str]
"""A reason, which is a label of a metric, and the code of the problem."""


def judge(error: BaseException) -> Verdict:
    """Why the parser could not go on."""
    if isinstance(error, LineTooLong):
        if error.args[1] == TARGET_BYTES_MAX:
            return "target_too_long", "target_too_long"
        return "header_too_long", "headers_too_large"
    if isinstance(error, BadHttpMethod):
        return "method", "malformed_request"
    if isinstance(error, BadStatusLine):
        return "request_line", "malformed_request"
    if isinstance(error, InvalidURLError):
        return "target", "malformed_request"
    if isinstance(error, InvalidHeader):
        return "header", "malformed_request"
    if isinstance(error, TransferEncodingError):
        return "framing", "malformed_request"
    return _by_text(str(getattr(error, "message", "")))


def _by_text(text: str) -> Verdict:
    """The parser has one class for all the rest; its own words tell them apart. What is not known is `syntax`."""
    if text.startswith("Too many headers"):
        return "too_many_headers", "headers_too_large"
    if text.startswith(("Missing 'Host'", "Duplicate 'Host'")):
        return "host", "malformed_request"
    first = text.partition("\n")[0]
    if "chunk" in first or "Content-Length" in first or "Transfer-Encoding" in first:
        return "framing", "malformed_request"
    return ("header" if "header" in first else "syntax"), "malformed_request"


def is_plain(request: web.BaseRequest) -> bool:
    """True for nearly every request: nothing about it has to be looked at."""
    headers = request.headers
    return (
        request.version is HttpVersion11
        and (target := request.raw_path)[0] == "/"
        and "#" not in target
        and headers.get(hdrs.HOST) in _hosts
        and hdrs.TRANSFER_ENCODING not in headers
        and not request._message.upgrade  # also set for CONNECT
    )


def fault_of(request: web.BaseRequest) -> str | None:
    """Why a request that the parser took must not be answered; None when nothing is wrong.

    Two readers of such a request may take it for two different ones: about where it ends (RFC 9112, 6.1), or
    about whom it is for (RFC 9112, 3.2).
    """
    headers = request.headers
    if request.method == hdrs.METH_CONNECT:
        return "method"  # this is no proxy
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
    """True when the client wants another protocol than is spoken here, such as `h2c`.

    aiohttp's parser drops what follows such a request in the same packet, so where the next one begins is not known.
    """
    return request._message.upgrade and request.headers.get(hdrs.UPGRADE, "").lower() != "websocket"


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
