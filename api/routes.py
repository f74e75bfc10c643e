"""Table of operations: every declaration of version 2, in the order in which the router tries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, groupby

from api.docs import asyncapi, browser_page, openapi, problem_pages, versions
from api.feed import handshake
from api.http import front_pages
from api.http.operation import METHODS, Operation, Route
from api.live import opening
from api.ops import health
from api.pages import serving
from api.rest import (
    accounts,
    decisions,
    drivers,
    events,
    job_actions,
    job_tasks,
    jobs,
    notice_preferences,
    order_commands,
    order_creation,
    orders,
    password_resets,
    payments,
    products,
    profiles,
    reports,
    shares,
    stores,
    tracking,
    users,
    webhooks,
    zones,
)

_TABLES: tuple[Iterable[Operation], ...] = (
    accounts.operations,
    users.operations,
    password_resets.operations,
    profiles.operations,
    notice_preferences.operations,
    zones.operations,
    stores.operations,
    products.operations,
    order_creation.operations,
    orders.operations,
    order_commands.operations,
    payments.operations,
    tracking.operations,
    decisions.operations,
    shares.operations,
    handshake.operations,
    opening.operations,
    drivers.operations,
    webhooks.operations,
    events.operations,
    jobs.operations,
    job_actions.operations,
    job_tasks.operations,
    reports.operations,
    health.operations,
    openapi.operations,
    browser_page.operations,
    versions.operations,
    asyncapi.operations,
    problem_pages.operations,
    front_pages.operations,
    serving.operations,
)


def arranged(tables: Iterable[Iterable[Operation]]) -> tuple[Operation, ...]:
    """Sort operations for the router: the busiest of each resource first, the methods of a path together.

    aiohttp tries the paths below one prefix one after the other, and merges the methods of a path only when they follow
    each other.
    """
    found: list[Operation] = []
    for _, of_resource in groupby(chain.from_iterable(tables), lambda one: one.resource):
        found += sorted(of_resource, key=lambda one: -one.busy)
    places = {one.path: place for place, one in reversed([*enumerate(found)])}
    return tuple(sorted(found, key=lambda one: (places[one.path], -one.busy, METHODS.index(one.method))))


def check_routes(routes: Iterable[Route]) -> None:
    """Check that no operation, and no method of a path, occurs twice.

    Raises:
        ValueError: names the duplicates; the server does not start then.
    """
    routes = [*routes]
    for said in ([one.operation for one in routes], [f"{one.method} {one.path}" for one in routes]):
        twice = sorted({name for name in said if said.count(name) > 1})
        if twice:
            raise ValueError(f"twice: {twice}")


ROUTES = arranged(_TABLES)
check_routes(ROUTES)
OPERATIONS: Mapping[str, Operation] = {one.operation: one for one in ROUTES}
