"""Admission control: how much one user, one address and all together may ask for.

Four limits, each with a name of its own in the RateLimit fields (draft-ietf-httpapi-ratelimit-headers):
the rate of a user, the rate of an address, how much one user has under way, and how much this instance has.
The numbers are settings; which policy counts a request stands in the declaration of its operation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from math import ceil
from typing import Any, NoReturn, Protocol

import structlog
from aiohttp import web

from actors.clock import Clock
from actors.cluster.node import Cluster
from actors.values import frozen
from api.auth.access_tokens import Principal
from api.auth.permissions import (
    AUTH,
    COMMANDS,
    DOCUMENTS,
    LOCATIONS,
    OPENINGS,
    ORDERS,
    READS,
    REFRESH,
    SILENT_OPENINGS,
    STRANGERS,
    UNKNOWN,
    Access,
)
from api.contract.problems import Problem
from api.ratelimit.client_address import client_address, count_under, read_networks
from api.ratelimit.login_attempts import LoginAttempts
from config import metrics
from config.settings import Settings
from dispatch.payments import PAY_ROUTE
from dispatch.service import CREATE_ROUTE
from storage.errors import StorageError
from storage.redis.client import Client
from storage.redis.keys import Keyspace
from storage.redis.limits import Allowance, Claim, Policy, RateLimits

log = structlog.get_logger()

# What is let go of first when there is too much: browsing, other reads, other writes, and last what the mall lives on.
BROWSE, READ, WRITE, VITAL = range(4)
# At which part of MALL_IN_FLIGHT_MAX each is refused.
_PARTS = (0.5, 0.7, 0.85, 1.0)
# Seconds after which each may come back: what is let go of first comes back last.
_BACK_S = (5, 3, 2, 1)
# Counted for a network until they have succeeded: see api/ratelimit/login_attempts.py.
_TRIED = frozenset({AUTH.name, REFRESH.name})
_BROWSED = frozenset({"stores", "products", "zones", "docs"})
_READING = frozenset({READS.name, DOCUMENTS.name})
_VITAL = frozenset({ORDERS.name, COMMANDS.name, LOCATIONS.name})
# Creations over the limit that may be repetitions: the database is asked about so many.
_LOOKS = Policy("looks", READS.limit, shared=False)
# So that two policies of one request can be told apart.
_OF_ADDRESS = "-address"
UNDER_WAY = "under-way"


class LimitedRequest(Protocol):
    """A request as admission sees it: whose it is, where it came from, and what the limits have said of it."""

    request: web.Request
    principal: Principal | None
    allowance: Allowance | None

    @property
    def who(self) -> Principal:
        """The caller, once known."""
        ...

    def key(self, *, required: bool = False) -> str:
        """The Idempotency-Key."""
        ...


class KnownKeys(Protocol):
    """Says of a creation whether its key was used before; dispatch.records.Records."""

    async def is_key_known(self, customer: int, route: str, digest: bytes) -> bool:
        """True when the customer has created something under this key already; `digest` is its SHA-256."""
        ...


@frozen
class Rule:
    """A policy with the numbers of the settings: for one user (or, without one, one address), and for one address
    with all users behind it.
    """

    own: Policy
    address: Policy


def rank_of(operation: str, access: Access, *, streams: bool) -> int | None:
    """When an operation is let go of; None: never. Probes must be answered above all, and a socket is no request."""
    room, _, verb = operation.partition(".")
    if room == "health" or (room == "feed" and streams):
        return None
    if access.policy is not None and access.policy.name in _VITAL:
        return VITAL
    if access.policy is not None and access.policy.name not in _READING:
        return WRITE
    return BROWSE if room in _BROWSED or verb == "list" else READ


class AdmissionControl:
    """The limits of one instance.

    Args:
        settings: the numbers.
        limits: counts the rates.
        keys: knows repetitions of creations, which count as reads.
    """

    def __init__(self, settings: Settings, limits: RateLimits, keys: KnownKeys) -> None:
        self._keys = keys
        self.on = settings.rate_limits == "on"
        self.limits = limits
        # By rank: with more requests than this in flight it is refused.
        self.bounds = tuple(int(part * settings.in_flight_max) for part in _PARTS)
        self._numbers: Mapping[str, int] = {
            "auth": settings.limit_auth_per_min,
            "refresh": settings.limit_refresh_per_min,
            "orders": settings.limit_orders_per_min,
            "reads": settings.limit_reads_per_min,
            "writes": settings.limit_writes_per_min,
            "tickets": settings.limit_tickets_per_min,
            "commands": settings.limit_commands_per_min,
            "locations": settings.limit_locations_per_min,
        }
        self._factor = settings.limit_address_factor
        self._rules: dict[str, Rule] = {}
        self._proxies = read_networks(settings.trusted_proxies)
        self._told_of_proxies = False
        self._each_max = settings.under_way_max
        self._under_way: dict[int, int] = {}
        self.attempts = LoginAttempts(limits.clock)

    def rule(self, policy: Policy) -> Rule:
        """The policy with its numbers."""
        rule = self._rules.get(policy.name)
        if rule is None:
            own = replace(policy, limit=self._numbers.get(policy.name, policy.limit))
            address = replace(own, name=policy.name + _OF_ADDRESS, limit=own.limit * self._factor)
            rule = self._rules[policy.name] = Rule(own, address)
        return rule

    # -- rates --------------------------------------------------------------------------------

    async def admit(self, policy: Policy, context: LimitedRequest) -> None:
        """Count a request whose caller is known, or that needs none.

        Raises:
            Problem: rate_limited.
        """
        rule, who = self.rule(policy), context.principal
        if who is None:
            address = self.address_of(context.request)
            if policy.name in _TRIED:
                self._judge(context, await self._attempt(rule.own, address))
                return
            allowance = (
                await self.limits.hit((rule.own, address))
                if policy.shared
                else self.limits.hit_here(rule.own, address)
            )
        elif policy.shared:
            allowance = await self.limits.hit(*self._claims(rule, context))
        else:
            # Real-time traffic, held to a bound that no honest driver meets: each instance may count for itself,
            # for a driver's requests come over one connection, and none of them waits for Redis.
            allowance = self.limits.hit_here(rule.own, who.number)
        if not allowance.allowed and policy.name == ORDERS.name and await self._is_replay(context):
            return
        self._judge(context, allowance)

    async def _attempt(self, policy: Policy, network: str) -> Allowance:
        """Count an attempt of somebody who has proved nothing."""
        allowance = await self.limits.hit(*self.attempts.claims(policy, network))
        if allowance.allowed:
            tried = self.limits.hit_here(self.attempts.tries(policy, network), network)
            return allowance if tried.allowed else tried
        self.attempts.hasten(allowance, network)
        return allowance

    async def take_back(self, context: LimitedRequest) -> None:
        """An attempt has succeeded, or nothing came of it: it does not count for its network."""
        allowance = context.allowance
        if allowance is not None and allowance.receipt is not None:
            await self.limits.give_back(allowance.receipt)
            allowance.receipt, allowance.remaining = None, allowance.remaining + 1

    def admit_stranger(self, context: LimitedRequest) -> None:
        """Count a request whose token is not valid: guessing is limited by address.

        Raises:
            Problem: rate_limited.
        """
        self._judge(context, self.limits.hit_here(self.rule(STRANGERS).own, self.address_of(context.request)))

    def admit_opening(self, context: LimitedRequest, number: int | None) -> None:
        """Count the opening of a feed: by driver, or, where nobody has said who it is, by address.

        Raises:
            Problem: rate_limited.
        """
        if not self.on:
            return
        policy = SILENT_OPENINGS if number is None else OPENINGS
        who = self.address_of(context.request) if number is None else number
        self._judge(context, self.limits.hit_here(self.rule(policy).own, who))

    def admit_unknown(self, request: web.BaseRequest) -> None:
        """Count a request that no route takes: searching for what is there is limited by address.

        Raises:
            Problem: rate_limited.
        """
        if not self.on:
            return
        allowance = self.limits.hit_here(UNKNOWN, self.address_of(request))
        if not allowance.allowed:
            self._refuse(request, allowance)

    def count_commands(self, number: int, times: int) -> float:
        """Count commands that came over the feed, with those that came over REST: 0, or in how many seconds they
        may be repeated; then none of them counts.
        """
        if not self.on:
            return 0.0
        own = self.rule(COMMANDS).own
        allowance = self.limits.hit_here(own, number, min(times, own.limit))
        if allowance.allowed:
            return 0.0
        metrics.RATE_LIMITED.labels(COMMANDS.name).inc()
        return max(allowance.wait_s, 0.001)

    async def count_replay(self, context: LimitedRequest) -> None:
        """A creation turned out to be the repetition of an earlier one: it counts as a read. Where no read is left
        it goes on counting as a creation, so that repetitions are bounded, too.
        """
        counted = context.allowance
        receipt = None if counted is None else counted.receipt
        if receipt is None or receipt.claims[0][0].name == READS.name:
            return
        allowance = await self.limits.move(receipt, *self._claims(self.rule(READS), context))
        if allowance.allowed:
            context.allowance = allowance

    async def _is_replay(self, context: LimitedRequest) -> bool:
        """True for the repetition of a creation, which passes as a read although no creation is left."""
        number = context.who.number
        if not self.limits.hit_here(self.rule(_LOOKS).own, number).allowed:
            return False
        try:
            # What this policy counts is one of the two, in every version.
            route = PAY_ROUTE if context.request.path.endswith("/payments") else CREATE_ROUTE
            digest = sha256(context.key(required=True).encode()).digest()
            known = await self._keys.is_key_known(number, route, digest)
        except (Problem, StorageError):
            return False
        if not known:
            return False
        allowance = await self.limits.hit(*self._claims(self.rule(READS), context))
        if allowance.allowed:
            context.allowance = allowance
        return allowance.allowed

    def _claims(self, rule: Rule, context: LimitedRequest) -> tuple[Claim, ...]:
        return (rule.own, context.who.number), (rule.address, self.address_of(context.request))

    def address_of(self, request: web.BaseRequest) -> str:
        """What callers of one network are counted under: an address, or a /64; proxies of ours seen through."""
        return count_under(client_address(request.remote, request.headers, self._proxies))

    def _judge(self, context: LimitedRequest, allowance: Allowance) -> None:
        context.allowance = allowance
        if not allowance.allowed:
            self._refuse(context.request, allowance)

    def _refuse(self, request: web.BaseRequest, allowance: Allowance) -> NoReturn:
        metrics.RATE_LIMITED.labels(allowance.policy.name).inc()
        self._mind_proxies(request, allowance)
        raise _exceeded({"Retry-After": str(seconds(allowance.wait_s))}, *allowance.violated)

    def _mind_proxies(self, request: web.BaseRequest, allowance: Allowance) -> None:
        """Whoever forgets to name his proxies has all callers share one address: say so, once."""
        headers = request.headers
        if self._proxies or self._told_of_proxies:
            return
        if "X-Forwarded-For" in headers or "Forwarded" in headers:
            self._told_of_proxies = True
            log.warning(
                "ignored_forwarded_header", policy=allowance.policy.name, setting="MALL_TRUSTED_PROXIES"
            )

    # -- at once ------------------------------------------------------------------------------

    def under_way(self, who: Principal | None, *, streams: bool) -> AbstractContextManager[None]:
        """A request of this caller is under way inside the block; a stream, or a stranger's, is not counted.

        Raises:
            Problem: rate_limited, when the block is entered; there are too many.
        """
        if who is None or streams or not self.on:
            return _UNCOUNTED
        return _UnderWay(self._under_way, who.number, self._each_max)

    def refuse(self, rank: int) -> None:
        """There is too much to do for a request of this rank.

        Raises:
            Problem: overloaded, always.
        """
        metrics.REQUESTS_SHED.labels(("browse", "read", "write", "vital")[rank]).inc()
        fields = {"Retry-After": str(_BACK_S[rank])}
        raise Problem("overloaded", "Too many requests are being answered.", headers=fields)


class _UnderWay:
    """Counts one request of a user from entering to leaving, however it ends; a generator would cost it twice."""

    __slots__ = ("_counts", "_most", "_number")

    def __init__(self, counts: dict[int, int], number: int, most: int) -> None:
        self._counts = counts
        self._number = number
        self._most = most

    def __enter__(self) -> None:
        count = self._counts.get(self._number, 0)
        if count >= self._most:
            metrics.RATE_LIMITED.labels(UNDER_WAY).inc()
            fields = {
                "Retry-After": "1",
                "RateLimit-Policy": f'"{UNDER_WAY}";q={self._most};qu="concurrent-requests"',
                "RateLimit": f'"{UNDER_WAY}";r=0;t=1',
            }
            raise _exceeded(fields, UNDER_WAY)
        self._counts[self._number] = count + 1

    def __exit__(self, *error: object) -> None:
        count = self._counts.pop(self._number) - 1
        if count:
            self._counts[self._number] = count


_UNCOUNTED: AbstractContextManager[None] = nullcontext()


def _exceeded(fields: Mapping[str, str], *policies: str) -> Problem:
    """With the member that the draft's problem type `quota-exceeded` has."""
    members: dict[str, Any] = {"violated-policies": list(policies)}
    return Problem("rate_limited", headers=fields, **members)


@asynccontextmanager
async def open_limits(
    redis: Client, clock: Clock, cluster: Cluster, keys: Keyspace
) -> AsyncIterator[RateLimits]:
    """The rates of an instance, counted with the others of its cluster until the block ends."""
    limits = RateLimits(
        redis,
        clock,
        keys=keys,
        instances=lambda: len(cluster.reconciler.membership.active),
        failed=metrics.REDIS_ERRORS.labels("limits").inc,
        changed=_tell,
    )
    async with limits.running():
        yield limits


def _tell(alone: bool) -> None:
    metrics.LIMITS_ALONE.set(alone)
    log.info("limits_count_alone" if alone else "limits_count_together")


def seconds(wait_s: float) -> int:
    """A wait as the fields show it: whole seconds, never too few."""
    return max(1, ceil(wait_s))


def mark(fields: MutableMapping[str, str], allowance: Allowance) -> None:
    """Show a verdict in the fields of an answer."""
    policy = allowance.policy
    fields["RateLimit-Policy"] = f'"{policy.name}";q={policy.limit};w={policy.window_s}'
    fields["RateLimit"] = f'"{policy.name}";r={allowance.remaining};t={seconds(allowance.wait_s)}'


def legacy_headers(allowance: Allowance) -> dict[str, str]:
    """The fields of version 1 of the API. Reset is in seconds from now, not a date."""
    return {
        "X-RateLimit-Limit": str(allowance.policy.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(seconds(allowance.wait_s)),
    }
