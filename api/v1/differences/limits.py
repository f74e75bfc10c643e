"""Version 1 tells of rate limits in X-RateLimit headers."""

from __future__ import annotations

from collections.abc import Mapping

from api.call import Call
from api.limiting import legacy_headers


def backward_headers(call: Call) -> Mapping[str, str]:
    """The headers of a request that was counted."""
    return {} if call.verdict is None else legacy_headers(call.verdict)
