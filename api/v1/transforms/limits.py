"""Transform of rate limit headers: version 1 has X-RateLimit headers, and no others."""

from __future__ import annotations

from collections.abc import MutableMapping

from api.http.request import RequestContext
from api.ratelimit.headers import legacy_headers

_NEW = ("RateLimit", "RateLimit-Policy")


def backward_headers(context: RequestContext, headers: MutableMapping[str, str]) -> None:
    """Rewrite the headers of an answer. Limits that are not rates, as of requests in flight, have no headers here."""
    for name in _NEW:
        headers.pop(name, None)
    if context.allowance is not None:
        headers.update(legacy_headers(context.allowance))
