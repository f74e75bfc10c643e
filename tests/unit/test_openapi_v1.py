"""The document of version 1 says what its routes do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from api.app import ROUTES
from api.v1.document import make_document_v1
from api.v1.table import TABLE


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return make_document_v1(ROUTES)


def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_of_version_1_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert described == {(row.method, row.path) for row in TABLE}


def test_nothing_of_version_2_is_left(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for word in (
        "amount_minor",
        '"lon"',
        '"cursor"',
        '"next"',
        "problem+json",
        "If-Match",
        '"ETag"',
        '"confirmed"',
    ):
        assert word not in text, word
    assert re.search(r"\^(ord|drv|sto|prd|zon|usr)_", text) is None


def test_every_operation_is_deprecated_and_every_answer_dated(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["deprecated"] is True
            for response in operation["responses"].values():
                assert {"Mall-Api-Version", "Deprecation", "Sunset", "Link"} <= response["headers"].keys()


def test_what_version_1_takes_and_gives_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    product, store, order = schemas["Product"], schemas["Store"], schemas["Order"]
    assert product["properties"]["price"]["type"] == "number"
    assert {"price", "currency"} <= set(product["required"])
    assert store["properties"]["location"]["required"] == ["lat", "lng"]
    assert "lat" not in store["properties"]
    assert "pending" in order["properties"]["status"]["enum"]
    assert order["properties"]["id"]["type"] == "integer"
    assert schemas["Orders"]["required"] == ["items", "page", "page_size", "total", "pages"]
    assert set(schemas["WholeProducts"]["required"]) == {"name", "price", "currency", "stock", "active"}
    key = [
        p for p in document["paths"]["/api/v1/orders"]["post"]["parameters"] if p["name"] == "Idempotency-Key"
    ]
    assert [parameter["required"] for parameter in key] == [False]
