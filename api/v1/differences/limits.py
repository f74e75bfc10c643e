"""Version 1 tells of rate limits in X-RateLimit headers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from api.call import Call

_LIMITING: Any = import_module("api.limiting") if find_spec("api.limiting") else None


def backward_headers(call: Call) -> Mapping[str, str]:
    """The headers of a request that was counted."""
    verdict = getattr(call, "verdict", None)
    if verdict is None or _LIMITING is None:
        return {}
    headers: Mapping[str, str] = _LIMITING.legacy_headers(verdict)
    return headers
