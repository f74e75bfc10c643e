"""Texts of the documents: descriptions of query parameters, and of the API as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from api.auth.permissions import POLICIES, ROLE_SCOPES

# By query parameter.
QUERIES: Mapping[str, str] = {
    "limit": "How many at most.",
    "cursor": "`next` of the page before; absent for the first page.",
    "near": "Around this place: `lat,lon` in degrees, each a number as JSON writes them.",
    "radius_m": "At most so many metres from there.",
    "after": "Only those behind this one; `evt_0` is the beginning.",
    "types": "Only those of these types, by commas.",
    "disabled": "Only those that are disabled, or that are not.",
    "failed": "Only those without a 2xx answer, or with one.",
    "ticket": "Instead of a token, for a browser's EventSource.",
    "task": "Only jobs of this task.",
    "state": "Only jobs in this state.",
    "key": "Only jobs of this key, which run one after the other.",
    "trace_id": "Only jobs that follow from the request with this trace id.",
    "from": "The first day, in the time zone of the zone. Without it six days before `to`.",
    "to": "The last day, included; at most 92 days. Without it today in UTC.",
    "q": "Only those whose name begins with it, in capitals or not.",
}
# Patterns of parameters that their models check in code.
PATTERNS: Mapping[str, Mapping[str, str]] = {
    "cursor": {"pattern": "^[A-Za-z0-9_.=-]+$"},
}

_OVERVIEW = """\
Customers order, drivers accept, the first wins exactly once.

## Errors

Everything that goes wrong is answered with RFC 9457 problem details, `application/problem+json`. Branch on `code`; \
`type` leads to a page that explains it, and `/problems` lists them all. `errors` names each field that is wrong. \
`trace_id` is what support asks for; it is in the header `X-Trace-ID` of every answer, too. With `not_processed: true` \
the request certainly had no effect. 500 and 504 mean that the outcome is unknown: repeat with the same key.

## Idempotency

Placing an order needs an `Idempotency-Key`; commands on orders take one. Make a new key for each thing that you \
want, and keep it for every repetition. The same key with the same body gets the same answer and has one effect; with \
another body it is refused with `key_reused`. `Idempotent-Replayed: true` marks an answer that was given before. \
Refusals before the request was looked at (400, 401, 403, 415, 429, 503) are not remembered.

## Scopes

{scopes}

## Rate limits

{limits}

Users are counted by themselves, strangers by their address. What is over a limit is answered with 429 and \
`Retry-After`, and had no effect.

## Versions

The version stands in the path. Members may be added to requests and answers; nothing is taken away within a \
version. A version that will end says so in `Deprecation` and `Sunset`.
"""


def overview() -> str:
    """The description of the whole API, in Markdown; its tables come from the enforced values."""
    scopes = sorted(set().union(*ROLE_SCOPES.values()))
    rows = ["| Scope | Roles |", "|---|---|"]
    rows += [f"| `{scope}` | {', '.join(roles_with(scope))} |" for scope in scopes]
    limits = ["| Limit | Requests | in seconds |", "|---|---|---|"]
    limits += [f"| `{p.name}` | {p.limit} | {p.window_s} |" for p in POLICIES]
    return _OVERVIEW.format(scopes="\n".join(rows), limits="\n".join(limits))


def roles_with(scope: str) -> list[str]:
    """The roles that have a scope."""
    return sorted(role for role, scopes in ROLE_SCOPES.items() if scope in scopes)
