"""The document of version 1 says what its routes do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from multidict import CIMultiDict
from openapi_spec_validator import validate

from api.routes import OPERATIONS, ROUTES
from api.v1.document import make_document_v1
from api.v1.examples import BODIES
from api.v1.handlers import TRANSITIONS, check_whole
from api.v1.request_draft import Draft
from api.v1.routes import TABLE, TRANSITION
from api.v1.transforms import identity, money, places


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


def test_zone_has_the_modes_that_version_1_takes_and_shows(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"].values()
    zones = [schema["properties"] for schema in schemas if "wave_size" in schema.get("properties", {})]
    assert len(zones) >= 2
    assert {tuple(zone["mode"]["enum"]) for zone in zones} == {("waves", "open")}


def test_every_operation_is_deprecated_and_every_answer_dated(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["deprecated"] is True
            answers = operation["responses"].items()
            for response in (answer for status, answer in answers if status not in ("414", "431")):
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


# -- examples ---------------------------------------------------------------------------------------------


def _conforms(document: dict[str, Any], value: Any, schema: Any) -> None:
    rooted = {"$ref": "#/schema", "schema": schema, "components": document["components"]}
    Draft202012Validator(rooted, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def _examples(document: dict[str, Any], media: dict[str, Any]) -> Iterator[Any]:
    for example in media["examples"].values():
        name = example.get("$ref", "").removeprefix("#/components/examples/")
        yield (document["components"]["examples"][name] if name else example)["value"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method} {row.path}")
def test_every_body_and_every_answer_has_examples_that_fit(document: dict[str, Any], row: Any) -> None:
    described = document["paths"][row.path][row.method.lower()]
    parts = [described["requestBody"]] if "requestBody" in described else []
    for part in (*parts, *described["responses"].values()):
        for media in part.get("content", {}).values():
            shown = list(_examples(document, media))
            assert shown
            for value in shown:
                _conforms(document, value, media["schema"])
    for parameter in described["parameters"]:
        if "example" in parameter:
            _conforms(document, parameter["example"], parameter["schema"])


@pytest.mark.parametrize("operation", BODIES)
def test_examples_of_bodies_go_forward_to_version_2(operation: str) -> None:
    for body in BODIES[operation].values():
        draft = Draft(operation, CIMultiDict())
        draft.read(json.dumps(body).encode())
        assert draft.body is not None
        if operation == TRANSITION:
            draft.operation = TRANSITIONS[draft.body.pop("status")]
            if "driver_id" in draft.body:
                draft.operation = "orders.assign"
        check_whole(operation, draft.body)
        for difference in (identity, money, places):
            difference.forward(draft)
        model = OPERATIONS[draft.operation].body
        assert model is not None
        model.model_validate_json(draft.data() or b"", strict=True)


def test_every_status_that_can_be_written_has_an_example() -> None:
    written = {body["status"] for body in BODIES[TRANSITION].values()}
    assert written == TRANSITIONS.keys() - {"picked_up"}, "which is another word for on_the_way"


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"status": "accepted", "offer_id": None}, True),
        ({"status": "accepted", "reason": "mine"}, False),
        ({"status": "declined", "offer_id": None, "reason": "zu weit – über die Brücke"}, True),
        ({"status": "failed", "reason": "   "}, False),
        ({"status": "failed"}, False),
        ({"status": "delivered", "reason": "done"}, False),
        ({"status": "pending", "reason": "changed my mind"}, True),
        ({"status": "accepted", "driver_id": "drv_3"}, False),
    ],
)
def test_status_is_documented_with_what_its_operation_takes(
    document: dict[str, Any], body: dict[str, Any], fits: bool
) -> None:
    media = document["paths"]["/api/v1/orders/{id}"]["patch"]["requestBody"]["content"]["application/json"]
    if fits:
        _conforms(document, body, media["schema"])
    else:
        with pytest.raises(ValidationError):
            _conforms(document, body, media["schema"])


def test_counted_answers_say_how_much_is_left(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            limited = "429" in operation["responses"]
            answers = operation["responses"].items()
            for response in (answer for status, answer in answers if status not in ("414", "431")):
                assert ("X-RateLimit-Remaining" in response["headers"]) == limited
