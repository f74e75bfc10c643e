"""Parts of version 1 that no real server shows: races lost on purpose, money of every size, a limiter to come."""

from __future__ import annotations

import types
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from actors.clock import SystemRandomness
from api.http.operation import Route
from api.http.request import RequestContext, json_response
from api.v1.handlers import TRIES, replaced
from api.v1.request import RequestContextV1
from api.v1.request_draft import Draft
from api.v1.transforms import limits, money
from api.v1.transforms.money import decimal_text
from storage.redis.limits import Allowance, Policy


class Rows:
    """One row of version 2. `rivals` writes by others come each between a read and the write after it."""

    def __init__(self, rivals: int) -> None:
        self.version = 1
        self.rivals = rivals
        self.asked: list[str] = []

    async def get(self, context: RequestContext) -> web.Response:
        assert "If-None-Match" not in context.request.headers
        assert context.request.match_info["id"] == "sto_7"
        return json_response({"version": self.version}, headers={"ETag": f'"{self.version}"'})

    async def delete(self, context: RequestContext) -> web.Response:
        if self.rivals:
            self.rivals -= 1
            self.version += 1
        self.asked.append(context.request.headers["If-Match"])
        if self.asked[-1] != f'"{self.version}"':
            return web.Response(status=412)
        return web.Response(status=204)


def _call() -> RequestContextV1:
    headers = {"If-None-Match": "*", "If-Match": '"1"'}
    request = make_mocked_request("DELETE", "/api/v1/stores/7", headers, match_info={"id": "7"})
    services: Any = types.SimpleNamespace(entropy=SystemRandomness())
    return RequestContextV1(request, services, "0" * 32)


async def _delete(rows: Rows) -> web.StreamResponse:
    path = "/api/v2/stores/{id}"
    routes = {
        "stores.get": Route(rows.get, "stores.get", "GET", path, scope=None, limit=None),
        "stores.delete": Route(rows.delete, "stores.delete", "DELETE", path, scope=None, limit=None),
    }
    return await replaced("stores.delete", "/api/v1/stores/{id}", routes)(_call())


async def test_the_version_that_is_there_is_sent_whatever_the_client_says() -> None:
    rows = Rows(rivals=0)
    assert (await _delete(rows)).status == 204
    assert rows.asked == ['"1"']


async def test_a_write_that_lost_a_race_is_repeated_against_the_new_version() -> None:
    rows = Rows(rivals=2)
    assert (await _delete(rows)).status == 204
    assert rows.asked == ['"1"', '"2"', '"3"']


async def test_a_write_that_always_loses_ends() -> None:
    rows = Rows(rivals=100)
    assert (await _delete(rows)).status == 412
    assert len(rows.asked) == TRIES


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1250, "EUR", "12.50"), (5, "EUR", "0.05"), (12, "JPY", "12"), (1, "KWD", "0.001"), (0, "EUR", "0.00"),
     (10**15, "USD", "10000000000000.00"), (1, "CLF", "0.0001")],
)  # fmt: skip
def test_money_is_written_with_as_many_digits_as_its_currency_has(
    minor: int, currency: str, text: str
) -> None:
    assert decimal_text(minor, currency) == text


@given(minor=st.integers(0, 1_000_000_000), currency=st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_money_comes_back_as_it_went(minor: int, currency: str) -> None:
    draft = Draft("products.create", CIMultiDict())
    draft.read(f'{{"price": {decimal_text(minor, currency)}, "currency": "{currency}"}}'.encode())
    money.forward(draft)
    assert draft.body == {"price": {"amount_minor": minor, "currency": currency}}


def test_what_the_limiter_said_is_told_in_the_old_headers() -> None:
    allowance = Allowance(True, Policy("reads", 100), 7, 1.5)
    told: Any = types.SimpleNamespace(allowance=allowance)
    headers = {"RateLimit": '"reads";r=7;t=2', "RateLimit-Policy": '"reads";q=100;w=60', "X-Trace-ID": "t"}
    limits.backward_headers(told, headers)
    assert headers == {
        "X-Trace-ID": "t",
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "7",
        "X-RateLimit-Reset": "2",
    }
    not_counted: Any = types.SimpleNamespace(allowance=None)
    limits.backward_headers(not_counted, headers := {"X-Trace-ID": "t", "RateLimit": '"under_way";r=0;t=1'})
    assert headers == {"X-Trace-ID": "t"}
