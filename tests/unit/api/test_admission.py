"""The gate: what is let go of first, who has how much under way, and how it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from multidict import CIMultiDict
from structlog.testing import capture_logs

from actors.clock import LoopClock
from api.auth.access_tokens import Principal
from api.auth.permissions import AUTH, COMMANDS, OPENINGS, ORDERS, READS, SHARES, SILENT_OPENINGS
from api.contract.problems import Problem
from api.ratelimit.admission import BROWSE, READ, VITAL, WRITE, AdmissionControl, rank_of
from api.ratelimit.headers import legacy_headers, mark, seconds
from api.routes import ROUTES
from config.settings import load_settings
from storage.redis.client import open_redis
from storage.redis.keys import Keyspace
from storage.redis.limits import Allowance, Policy, RateLimits

NOWHERE = "unix:///nonexistent/valkey.sock"


@pytest.fixture
async def admission() -> AsyncIterator[AdmissionControl]:
    """One with smaller numbers, and no Redis."""
    settings = load_settings({"MALL_UNDER_WAY_MAX": "2", "MALL_LIMIT_ORDERS_PER_MIN": "7"})
    async with open_redis(NOWHERE) as client:
        limits = RateLimits(client, LoopClock(asyncio.get_running_loop()), keys=Keyspace("one"))
        yield AdmissionControl(settings, limits, cast("Any", None))


RANKS = {route.operation: rank_of(route.operation, route.access, streams=route.streams) for route in ROUTES}


@pytest.mark.parametrize(
    ("operation", "rank"),
    [
        ("stores.list", BROWSE),
        ("products.get", BROWSE),
        ("orders.list", BROWSE),
        ("users.list", BROWSE),
        ("docs.page", BROWSE),
        ("orders.get", READ),
        ("orders.track", READ),
        ("orders.shared", READ),
        ("auth.me", READ),
        ("drivers.my_orders", READ),
        ("auth.login", WRITE),
        ("products.update", WRITE),
        ("orders.cancel", WRITE),
        ("orders.create", VITAL),
        ("orders.accept", VITAL),
        ("orders.delivery", VITAL),
        ("drivers.location", VITAL),
        ("health.readiness", None),
        ("feed.open", None),
    ],
)
def test_browsing_goes_first_and_what_the_mall_lives_on_last(operation: str, rank: int | None) -> None:
    assert RANKS[operation] == rank


async def test_settings_have_the_last_word_on_the_numbers(admission: AdmissionControl) -> None:
    rule = admission.rule(ORDERS)
    assert (rule.own.name, rule.own.limit) == ("orders", 7)
    assert (rule.address.name, rule.address.limit) == ("orders-address", 70)
    assert admission.rule(AUTH).own.limit == 5
    assert not admission.rule(COMMANDS).own.shared
    assert admission.rule(Policy("brand-new", 3)).own.limit == 3


def caller(address: str) -> Any:
    """A call from this address."""
    return SimpleNamespace(request=SimpleNamespace(remote=address, headers=CIMultiDict()), allowance=None)


async def test_feeds_that_a_driver_opens_are_counted_by_driver(admission: AdmissionControl) -> None:
    for _ in range(OPENINGS.limit):
        admission.admit_opening(caller("192.0.2.1"), 3)
    with pytest.raises(Problem) as refused:
        admission.admit_opening(caller("192.0.2.2"), 3)
    assert (refused.value.code, refused.value.extra) == ("rate_limited", {"violated-policies": ["openings"]})
    admission.admit_opening(caller("192.0.2.1"), 4)


async def test_feeds_that_nobody_has_named_are_counted_by_address(admission: AdmissionControl) -> None:
    for _ in range(SILENT_OPENINGS.limit):
        admission.admit_opening(caller("192.0.2.1"), None)
    with pytest.raises(Problem) as refused:
        admission.admit_opening(caller("192.0.2.1"), None)
    assert refused.value.extra == {"violated-policies": ["silent-openings"]}
    admission.admit_opening(caller("192.0.2.2"), None)


async def test_followers_of_shared_orders_are_counted_by_address(admission: AdmissionControl) -> None:
    def follower(address: str) -> Any:
        return SimpleNamespace(**vars(caller(address)), principal=None)

    stranger = follower("192.0.2.9")
    for _ in range(SHARES.limit):
        await admission.admit(SHARES, stranger)
    with pytest.raises(Problem, match="rate_limited"):
        await admission.admit(SHARES, stranger)
    await admission.admit(SHARES, follower("192.0.2.10"))


async def test_commands_over_the_feed_count_with_those_over_rest_each_order_once(
    admission: AdmissionControl,
) -> None:
    own = admission.rule(COMMANDS).own
    for _ in range(own.limit - 20):
        assert admission.limits.hit_here(own, 3).allowed
    assert admission.count_commands(3, 19) == 0.0
    assert admission.count_commands(3, 2) > 0, "two do not fit any more, and neither counts"
    assert admission.count_commands(3, 1) == 0.0
    assert admission.count_commands(3, 1) > 0
    assert not admission.limits.hit_here(own, 3).allowed
    assert admission.count_commands(4, 20) == 0.0


async def test_user_has_so_much_under_way_and_no_more(admission: AdmissionControl) -> None:
    def enter(number: int) -> AbstractContextManager[None]:
        return admission.under_way(Principal("customer", number, "ses_1", 0.0), streams=False)

    with enter(7), enter(7), enter(8), pytest.raises(Problem) as refused, enter(7):
        pass
    assert (refused.value.code, refused.value.extra) == ("rate_limited", {"violated-policies": ["under-way"]})
    with pytest.raises(ZeroDivisionError), enter(7), enter(7):
        raise ZeroDivisionError
    assert admission._under_way == {}, "nobody is remembered who is not there"


async def test_operator_who_forgot_his_proxies_is_told_once(admission: AdmissionControl) -> None:
    request = SimpleNamespace(remote="203.0.113.9", headers=CIMultiDict({"X-Forwarded-For": "198.51.100.1"}))
    context: Any = SimpleNamespace(request=request, principal=None, allowance=None)
    one = Policy("one", 1)
    with capture_logs() as lines:
        await admission.admit(one, context)
        for _ in range(3):
            with pytest.raises(Problem):
                await admission.admit(one, context)
    assert [(line["event"], line["setting"]) for line in lines] == [
        ("ignored_forwarded_header", "MALL_TRUSTED_PROXIES")
    ]


@pytest.mark.parametrize(
    ("wait_s", "shown"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.0001, 2), (59.2, 60), (60.0, 60)]
)
def test_wait_is_shown_in_whole_seconds_and_never_too_short(wait_s: float, shown: int) -> None:
    assert seconds(wait_s) == shown
    assert shown >= wait_s


def test_verdict_is_shown_in_the_fields_of_the_draft_and_in_those_of_version_1() -> None:
    allowance, fields = Allowance(True, READS, 7, 11.5), {"Server": "mall"}
    mark(fields, allowance)
    assert fields == {
        "Server": "mall",
        "RateLimit-Policy": '"reads";q=100;w=60',
        "RateLimit": '"reads";r=7;t=12',
    }
    assert legacy_headers(allowance) == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "7",
        "X-RateLimit-Reset": "12",
    }
