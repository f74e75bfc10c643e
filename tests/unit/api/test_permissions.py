"""Who may do what: roles, their scopes, and what operations ask for."""

from __future__ import annotations

import re

import pytest

from api.auth.permissions import ROLE_SCOPES, allows
from api.routes import OPERATIONS, ROUTES

SCOPES = sorted({route.scope for route in ROUTES if route.scope is not None})


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
    "auth.register", "auth.login", "auth.reset", "auth.request_reset", "auth.refresh", "auth.jwks", "feed.open",
    "orders.shared",  # by the secret of a share link
    "console.live", "health.liveness", "health.readiness", "health.startup",
}  # fmt: skip


def test_only_these_routes_the_docs_and_the_pages_are_open_to_anybody() -> None:
    opened = {
        route.operation for route in ROUTES if route.scope is None and route.resource not in ("docs", "pages")
    }
    assert opened == OPEN


def test_what_takes_a_password_is_limited_by_address() -> None:
    for operation in ("auth.register", "auth.login", "auth.reset", "auth.request_reset"):
        policy = OPERATIONS[operation].limit
        assert policy is not None
        assert (policy.name, policy.limit, policy.window_s) == ("auth", 5, 60)


def test_whatever_needs_a_token_is_limited() -> None:
    assert [route.operation for route in ROUTES if route.scope is not None and route.limit is None] == []


def test_what_the_mall_lives_on_never_waits_for_redis() -> None:
    for operation in (
        "orders.accept",
        "orders.decline",
        "orders.pickup",
        "orders.delivery",
        "drivers.location",
    ):
        policy = OPERATIONS[operation].limit
        assert policy is not None
        assert not policy.shared


def test_probes_are_never_limited() -> None:
    probes = [route for route in ROUTES if route.resource == "health"]
    assert len(probes) == 3
    assert all(route.limit is None for route in probes)


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
