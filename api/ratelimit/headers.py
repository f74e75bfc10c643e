"""Headers of rate limits: RateLimit fields of version 2, X-RateLimit fields of version 1."""

from __future__ import annotations

from collections.abc import MutableMapping
from math import ceil

from storage.redis.limits import Allowance


def seconds(wait_s: float) -> int:
    """A wait in whole seconds for a header, rounded up."""
    return max(1, ceil(wait_s))


def mark(fields: MutableMapping[str, str], allowance: Allowance) -> None:
    """Write an allowance into the headers of an answer."""
    policy = allowance.policy
    fields["RateLimit-Policy"] = f'"{policy.name}";q={policy.limit};w={policy.window_s}'
    fields["RateLimit"] = f'"{policy.name}";r={allowance.remaining};t={seconds(allowance.wait_s)}'


def legacy_headers(allowance: Allowance) -> dict[str, str]:
    """The rate limit headers of version 1 of the API. Reset is in seconds from now, not a date."""
    return {
        "X-RateLimit-Limit": str(allowance.policy.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(seconds(allowance.wait_s)),
    }
