"""What the documents say in sentences: about single operations, and about all of them."""

from __future__ import annotations

from collections.abc import Mapping

from api.auth.permissions import ACCESS, ROLE_SCOPES

# By operation: what its summary does not say.
NOTES: Mapping[str, str] = {
    "auth.login": "An unknown address takes as long as a wrong password.",
    "auth.refresh": "The refresh token is used up. One that was used before ends its session: somebody has a copy.",
    "auth.logout": "Access tokens of the session die within a second, its sockets within 25 s.",
    "stores.list": "`near` and `radius_m` belong together, and go without `cursor` and `zone_id`; the nearest comes "
    "first, with its `distance_m`.",
    "stores.delete": "It is not listed any more and sells nothing. Its orders keep their history, and its id still "
    "answers, with `active: false`.",
    "products.update": "`stock: null` means that it never runs out; an absent stock stays.",
    "products.delete": "It is not listed any more and cannot be ordered. Orders keep their lines, and its id still "
    "answers, with `active: false`.",
    "orders.track": "Server-sent events: `order` (an Order) with the whole order, then `change` (an OrderChange) for "
    "each change, until it is finished or the client leaves. The `id` of an event is the order's version. Who comes "
    "back with `Last-Event-ID` is not told again what was seen, and gets 204 when the order is finished: an "
    "EventSource stops there. EventSource cannot send a token: it sends a `ticket`, and asks for another after a 401.",
    "orders.track_ticket": "Send it as `ticket` in the query of the stream. It opens the stream of this order only, as "
    "often as the EventSource comes back, for `expires_in` seconds, and dies with the session.",
    "orders.accept": "Without `offer_id` it means whatever is offered at that moment. Repeating an acceptance that won "
    "answers `already_yours`, for ever.",
    "drivers.location": "The newest wins; nothing is queued. Within a login a `cseq` that is not higher than the last "
    "is ignored for 10 s. An `accuracy_m` that makes no sense counts as left out. "
    "A fix at 0,0, one that may be wrong by more than 5 km, or a jump that no vehicle can make is not believed: the "
    "driver stays where it was.",
    "orders.reassign": "For operators, at any time before the end: the one driver gets `order.released`, the other "
    "`order.assigned`, in one commit. The status stays, also after the pick-up; that the goods change hands is up to "
    "the operator. An order without a driver is assigned.",
    "orders.conclude": "For operators, when the driver cannot: `delivered` takes the money, `failed` and `returned` "
    "end as `undeliverable` and let it go. The stock is given back for what was returned, and for what was never "
    "fetched. The history says who and why. An order that waits for its payment is cancelled instead.",
    "drivers.list": "`state` says who can be asked: `unreachable` is a driver who is online and whose socket is gone "
    "for 20 s, or who let two offers in a row pass without looking at them. Any sign of life ends it.",
    "drivers.take_offline": "For operators. Its offers die at once and go to others; what it carries it still "
    "delivers. It comes back by going online itself.",
    "feed.open": "Subprotocol `malldrive.v1`, with an access token of the scope `feed:open`, or a ticket in the first "
    "frame. `/api/v2/asyncapi.json` describes the frames.",
    "feed.ticket": "For browsers, which cannot send headers with a WebSocket. Send it in `hello` while it lives.",
}

# By query parameter.
QUERIES: Mapping[str, str] = {
    "limit": "How many at most.",
    "cursor": "`next` of the page before; absent for the first page.",
    "near": "Around this place: `lat,lon` in degrees, each a number as JSON writes them.",
    "radius_m": "At most so many metres from there.",
    "ticket": "Instead of a token, for a browser's EventSource.",
    "q": "Only those whose name begins with it, in capitals or not.",
}
# What their models check by hand.
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
    """The description of the whole API, in Markdown; the tables are those that are enforced."""
    scopes = sorted(set().union(*ROLE_SCOPES.values()))
    rows = ["| Scope | Roles |", "|---|---|"]
    rows += [f"| `{scope}` | {', '.join(roles_with(scope))} |" for scope in scopes]
    policies = {row.policy.name: row.policy for row in ACCESS.values() if row.policy is not None}
    limits = ["| Limit | Requests | in seconds |", "|---|---|---|"]
    limits += [f"| `{p.name}` | {p.limit} | {p.window_s} |" for p in policies.values()]
    return _OVERVIEW.format(scopes="\n".join(rows), limits="\n".join(limits))


def roles_with(scope: str) -> list[str]:
    """The roles that have a scope."""
    return sorted(role for role, scopes in ROLE_SCOPES.items() if scope in scopes)
