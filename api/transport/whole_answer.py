"""Head and body of a fast-path answer as one byte string."""

from __future__ import annotations

from aiohttp import hdrs, web

from api.transport.aiohttp_internals import http_date, serialize_headers


def whole_answer(response: web.StreamResponse, *, keep: bool) -> bytes:
    """Head and body of a short answer, as they are sent over HTTP/1.1.

    Raises:
        TypeError: its body is not bytes, so its route cannot be prompt.
    """
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes):
        raise TypeError("a prompt route must answer with a body")
    headers = response.headers
    headers[hdrs.CONTENT_LENGTH] = str(len(body))
    headers[hdrs.DATE] = http_date()
    if not keep:
        headers[hdrs.CONNECTION] = "close"
    return serialize_headers(f"HTTP/1.1 {response.status} {response.reason}", headers) + body
