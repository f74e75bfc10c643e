"""The table of who may do what covers every route, and nothing but routes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web

from api.app import ROUTES, check_routes, make_app
from api.auth.permissions import ACCESS, ROLE_SCOPES, allows
from api.http.pipeline import Route, bind
from api.http.request import RequestContext


async def _nothing(context: RequestContext) -> web.Response:
    return web.Response()


STRAY: Any = Route("orders.steal", "POST", "/api/v2/orders/{id}/theft", _nothing)
NO_OFFICE: Any = None


def test_the_routes_and_the_table_fit() -> None:
    check_routes(ROUTES)


def test_a_route_without_a_row_does_not_start() -> None:
    with pytest.raises(ValueError, match=r"routes without access: \['orders.steal'\]"):
        make_app(NO_OFFICE, (*ROUTES, STRAY))


def test_a_row_without_a_route_does_not_start() -> None:
    rest = tuple(route for route in ROUTES if route.operation != "orders.accept")
    with pytest.raises(ValueError, match=r"access without route: \['orders.accept'\]"):
        make_app(NO_OFFICE, rest)


def test_an_operation_that_stands_twice_does_not_start() -> None:
    with pytest.raises(ValueError, match=r"twice: \['orders.get'\]"):
        make_app(NO_OFFICE, (*ROUTES, next(r for r in ROUTES if r.operation == "orders.get")))


def test_a_route_without_a_row_cannot_even_be_bound() -> None:
    with pytest.raises(KeyError):
        bind(STRAY)


def test_no_path_answers_a_method_twice() -> None:
    addresses = [(route.method, route.path) for route in ROUTES]
    assert len(set(addresses)) == len(addresses)


SCOPES = sorted({row.scope for row in ACCESS.values() if row.scope is not None})


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_that_is_asked_for_some_role_has(scope: str) -> None:
    assert any(allows(role, scope) for role in ROLE_SCOPES)


# Asked for by the handshake itself, for a browser shows its ticket only after the upgrade; and what comes next.
ELSEWHERE = {"feed:open:own", "payments:create", "payments:read:own", "payments:read:any", "payments:refund"}


@pytest.mark.parametrize("role", ROLE_SCOPES)
def test_no_role_has_a_scope_that_opens_nothing(role: str) -> None:
    for scope in ROLE_SCOPES[role]:
        any_of_it = scope.removesuffix("own") + "any"
        own_of_it = scope.removesuffix("any") + "own"
        implied = scope.endswith(":own") and any_of_it in ROLE_SCOPES[role]
        assert implied or {scope, own_of_it} & {*SCOPES, *ELSEWHERE}, scope


@pytest.mark.parametrize("role", ROLE_SCOPES)
def test_who_may_any_may_own(role: str) -> None:
    for scope in ROLE_SCOPES[role]:
        if scope.endswith(":any"):
            assert allows(role, scope.removesuffix("any") + "own")


def test_scopes_name_a_resource_an_action_and_perhaps_whose() -> None:
    for scope in {scope for scopes in ROLE_SCOPES.values() for scope in scopes}:
        assert re.fullmatch(r"[a-z]+(:[a-z]+){1,2}(:(own|any))?", scope), scope


OPEN = {
    "auth.register", "auth.login", "auth.reset", "auth.refresh", "auth.jwks", "feed.open",
    "health.liveness", "health.readiness", "health.startup",
}  # fmt: skip


def test_only_these_routes_and_the_docs_are_open_to_anybody() -> None:
    opened = {operation for operation, row in ACCESS.items() if row.scope is None}
    assert {operation for operation in opened if not operation.startswith("docs.")} == OPEN


def test_what_takes_a_password_is_limited_by_address() -> None:
    for operation in ("auth.register", "auth.login", "auth.reset"):
        policy = ACCESS[operation].policy
        assert policy is not None
        assert (policy.name, policy.limit, policy.window_s) == ("auth", 5, 60)


def test_whatever_needs_a_token_is_limited() -> None:
    assert [op for op, row in ACCESS.items() if row.scope is not None and row.policy is None] == []


def test_what_the_mall_lives_on_never_waits_for_redis() -> None:
    for operation in (
        "orders.accept",
        "orders.decline",
        "orders.pickup",
        "orders.delivery",
        "drivers.location",
    ):
        policy = ACCESS[operation].policy
        assert policy is not None
        assert not policy.shared


def test_probes_are_never_limited() -> None:
    free = [op for op in ACCESS if op.startswith("health.")]
    assert len(free) == 3
    assert all(ACCESS[op].policy is None for op in free)


FORBIDDEN = [
    ("customer", "catalog:write"), ("customer", "orders:carry:own"), ("customer", "orders:operate"),
    ("customer", "users:admin"), ("customer", "drivers:location:write:own"),
    ("customer", "drivers:read:any"), ("customer", "feed:open:own"), ("driver", "catalog:write"),
    ("driver", "orders:create"), ("driver", "orders:operate"), ("driver", "users:admin"),
    ("customer", "orders:read:any"), ("customer", "payments:refund"), ("customer", "orders:accept"),
    ("driver", "orders:read:any"), ("driver", "payments:create"), ("driver", "payments:refund"),
    ("driver", "orders:cancel:own"), ("driver", "drivers:read:any"), ("admin", "orders:carry:own"),
    ("admin", "drivers:location:write:own"),
]  # fmt: skip


@pytest.mark.parametrize(("role", "scope"), FORBIDDEN)
def test_what_a_role_must_never_do_it_may_not(role: str, scope: str) -> None:
    assert not allows(role, scope)


@pytest.mark.parametrize("role", ["", "root", "Admin", "ADMIN", "admin "])
def test_a_role_that_does_not_exist_may_nothing(role: str) -> None:
    assert not any(allows(role, scope) for scope in SCOPES)
