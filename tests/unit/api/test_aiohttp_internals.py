"""The check of aiohttp's insides, and what a start says when they have changed."""

from __future__ import annotations

import sys

import aiohttp
import pytest
from aiohttp import http_exceptions, web, web_request

from api.transport.aiohttp_internals import VERSION, InsidesChanged, check, missing
from api.transport.runners import FastPathError, runner_class


def test_installed_aiohttp_is_the_one_that_was_read() -> None:
    assert aiohttp.__version__ == VERSION
    assert list(missing()) == []


def change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another aiohttp: a slot, a class and a parameter are gone."""

    async def finish_response(self: object, request: object, resp: object) -> None:
        del self, request, resp

    monkeypatch.delattr(web.RequestHandler, "_waiter")
    monkeypatch.delattr(http_exceptions, "LineTooLong")
    monkeypatch.setattr(web.RequestHandler, "finish_response", finish_response)
    monkeypatch.setattr(aiohttp, "__version__", "9.9.9")


def test_one_error_names_both_versions_and_all_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch)
    with pytest.raises(InsidesChanged) as caught:
        check()
    first, *lines, last = str(caught.value).splitlines()
    assert VERSION in first
    assert "9.9.9" in first
    assert [line.strip() for line in lines] == [
        "aiohttp.web_protocol:RequestHandler._waiter is not there",
        "aiohttp.web_protocol:RequestHandler.finish_response has the parameters (async self request resp),"
        " expected were (async self request resp start_time)",
        "aiohttp.http_exceptions:LineTooLong is not there",
    ]
    assert "MALL_FAST_PATH=off" in last


def test_attribute_that_an_instance_gets_when_it_is_made_is_found_there() -> None:
    assert not hasattr(web_request.BaseRequest, "_payload_writer")
    table = {"aiohttp.web_request:BaseRequest": {"_payload_writer": None, "_never_heard_of": None}}
    assert list(missing(table)) == ["aiohttp.web_request:BaseRequest._never_heard_of is not there"]


def test_module_that_is_gone_is_one_line() -> None:
    assert list(missing({"aiohttp.no_such_module:Thing": {"a": None, "b": "self"}})) == [
        "aiohttp.no_such_module:Thing is not there"
    ]


def test_start_with_the_fast_path_is_refused_and_one_without_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch)
    # As in a process of its own: nothing has imported them yet.
    for name in ("aiohttp_internals", "listener", "connection", "request_bodies"):
        monkeypatch.delitem(sys.modules, f"api.transport.{name}", raising=False)
        monkeypatch.delattr(f"api.transport.{name}", raising=False)
    with pytest.raises(FastPathError, match=r"RequestHandler\._waiter is not there"):
        runner_class(fast=True)
    assert runner_class(fast=False).__name__ == "StockRunner"
