"""Version 1 tells of rate limits in X-RateLimit headers, and only there."""

from __future__ import annotations

from collections.abc import MutableMapping

from api.http.request import RequestContext
from api.ratelimit.admission import legacy_headers

_NEW = ("RateLimit", "RateLimit-Policy")


def backward_headers(context: RequestContext, headers: MutableMapping[str, str]) -> None:
    """Rewrite the headers of an answer. What is counted otherwise (too much under way) has none here."""
    for name in _NEW:
        headers.pop(name, None)
    if context.allowance is not None:
        headers.update(legacy_headers(context.allowance))
