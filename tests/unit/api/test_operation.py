"""A declaration is whole, or the server does not start; the table of operations is made of them."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

import api
from api.app import make_app
from api.auth.permissions import READS
from api.http.operation import Operation, Operations, missing_of
from api.http.request import RequestContext
from api.rest.answers import OrderAnswer
from api.routes import OPERATIONS, ROUTES, arranged, check_routes

NO_OFFICE: Any = None


async def _nothing(context: RequestContext) -> web.Response:
    return web.Response()


class Body(BaseModel):
    reason: str


WHOLE = Operation(
    _nothing, "orders.sell", "POST", "/api/v2/orders/{id}/sale", scope="orders:operate", limit=READS, summary="Sell it"
)  # fmt: skip


def test_a_whole_declaration_lacks_nothing() -> None:
    assert missing_of(WHOLE) == []


LACKING: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"operation": "sell"}, "a name like orders.create"),
    "path": ({"path": "orders"}, "a path that begins with /"),
    "method of HTTP": ({"method": "FETCH"}, "a method of GET, POST, PUT, PATCH, DELETE"),
    "summary": ({"summary": " "}, "a summary"),
    "scope": ({"scope": "orders:sell"}, "a scope that a role has, not orders:sell"),
    "limit": ({"limit": None}, "a limit, as it has a scope"),
    "method": ({"method": "GET", "body": Body, "body_example": {}}, "a method that has a body"),
    "example": ({"body": Body}, "an example of its body"),
    "example of nothing": ({"body_example": {}}, "an example of its body"),
    "answer": ({"answer": Body}, "a type of answers, whose name ends in Answer"),
    "empty answer": ({"status": 204, "answer": OrderAnswer}, "no answer, as its status is 204"),
    "problem": ({"problems": ("not_found", "sold")}, "problems that exist, not sold"),
}


@pytest.mark.parametrize(("changes", "missing"), LACKING.values(), ids=LACKING)
def test_what_a_declaration_lacks_is_named(changes: dict[str, Any], missing: str) -> None:
    assert missing_of(replace(WHOLE, **changes)) == [missing]


def test_an_incomplete_declaration_does_not_start() -> None:
    operations = Operations(Operation)
    declare = operations.declare("orders.sell", "GET", "orders", scope=None, limit=None, summary="")
    with pytest.raises(ValueError, match=r"orders\.sell needs a path that begins with /; a summary"):
        declare(_nothing)
    assert list(operations) == []


def test_a_handler_stays_the_function_that_it_is() -> None:
    operations = Operations(Operation)
    declare = operations.declare("orders.sell", "POST", "/sale", scope=None, limit=None, summary="Sell it")
    assert declare(_nothing) is _nothing
    assert operations["orders.sell"].handler is _nothing


def test_a_module_declares_no_operation_twice() -> None:
    declare = Operations(Operation).declare(
        "orders.sell", "POST", "/sale", scope=None, limit=None, summary="Sell it"
    )
    declare(_nothing)
    with pytest.raises(ValueError, match=r"orders\.sell needs a name of its own"):
        declare(_nothing)


def test_an_operation_that_stands_twice_does_not_start() -> None:
    with pytest.raises(ValueError, match=r"twice: \['orders.get'\]"):
        make_app(NO_OFFICE, (*ROUTES, OPERATIONS["orders.get"]))


def test_a_path_that_answers_a_method_twice_does_not_start() -> None:
    other = replace(OPERATIONS["orders.get"], operation="orders.look")
    with pytest.raises(ValueError, match=r"twice: \['GET /api/v2/orders/\{id\}'\]"):
        check_routes((*ROUTES, other))


def _said(name: str, method: str, path: str, busy: int = 0) -> Operation:
    return replace(WHOLE, operation=name, method=method, path=path, busy=busy)


def test_methods_of_a_path_stand_together() -> None:
    tables = [
        [_said("a.create", "POST", "/a"), _said("a.get", "GET", "/a/{id}")],
        [_said("a.list", "GET", "/a")],
    ]
    assert [one.operation for one in arranged(tables)] == ["a.list", "a.create", "a.get"]


def test_the_router_tries_the_busiest_of_a_resource_first_and_leaves_the_others_where_they_are() -> None:
    tables = [
        [_said("a.get", "GET", "/a/{id}")],
        [_said("b.get", "GET", "/b/{id}"), _said("b.sell", "POST", "/b/{id}/sale", 1)],
        [_said("b.take", "POST", "/b/{id}/taking", 2)],
    ]
    assert [one.operation for one in arranged(tables)] == ["a.get", "b.take", "b.sell", "b.get"]


def test_acceptances_are_tried_before_all_that_is_done_to_orders() -> None:
    orders = [one.operation for one in ROUTES if one.resource == "orders"]
    assert orders[:2] == ["orders.accept", "orders.create"]


def test_every_module_that_declares_operations_stands_in_the_table() -> None:
    root = Path(api.__file__).parent
    declaring = [path for path in root.rglob("*.py") if "@operations.declare(\n" in path.read_text()]
    assert len(declaring) > 15
    for path in declaring:
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for one in import_module(name).operations:
            assert one in ROUTES, name
