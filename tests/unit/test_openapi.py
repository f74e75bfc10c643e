"""The document says what the routes do, and is good enough to make a client from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from typing_extensions import TypedDict

from api.app import make_app
from api.auth.permissions import POLICIES
from api.contract.problems import KINDS
from api.docs.examples import EXAMPLES
from api.docs.openapi import is_elsewhere, make_document
from api.docs.response_schemas import components_of
from api.http.operation import Operation
from api.http.pipeline import UNKNOWN_CANONICAL
from api.routes import ROUTES
from config.settings import Settings

DOCUMENT = make_document(ROUTES)
LISTED = [route for route in ROUTES if not is_elsewhere(route)]
REF = re.compile(r'"#/components/(\w+)/([\w.-]+)"')


def described(route: Operation) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation


def resolved(value: Any) -> Any:
    """What a reference leads to, or the value itself."""
    if isinstance(value, dict) and "$ref" in value:
        _, _, kind, name = value["$ref"].split("/")
        return DOCUMENT["components"][kind][name]
    return value


def conforms(value: Any, schema: Any) -> None:
    rooted = {"$ref": "#/schema", "schema": schema, "components": DOCUMENT["components"]}
    Draft202012Validator(rooted, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def schemas_in(value: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the document that has a type, and where it is."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from schemas_in(one, f"{where}/{number}")
    elif isinstance(value, dict):
        if isinstance(value.get("type"), str | list) and "in" not in value:
            yield where, value
        for name, one in value.items():
            if name not in ("example", "examples", "default", "enum", "const", "securitySchemes"):
                yield from schemas_in(one, f"{where}/{name}")


# -- the document and the routes --------------------------------------------------------------------------


def test_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_route_is_described_and_nothing_else() -> None:
    listed = {(m.upper(), path) for path, methods in DOCUMENT["paths"].items() for m in methods}
    assert listed == {(r.method, r.path) for r in LISTED}


def test_the_router_knows_no_path_that_is_not_described() -> None:
    class Services:
        settings = Settings(cors_origins=())

    services: Any = Services()
    known = {r.method + " " + r.resource.canonical for r in make_app(services).router.routes() if r.resource}
    described_ = {f"{m.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for m in methods}
    internal = {f"{r.method} {r.path}" for r in ROUTES if is_elsewhere(r)}
    # Other versions are translations of this one, and have tests of their own.
    known = {name for name in known if re.search(" /api/(?!v2/|versions)", name) is None}
    # HEAD is GET without a body.
    known = {name for name in known if not (name.startswith("HEAD ") and f"GET {name[5:]}" in known)}
    assert known == described_ | internal | {f"* {UNKNOWN_CANONICAL}"}


def test_only_the_documents_the_pages_and_sockets_are_described_elsewhere() -> None:
    left_out = {r.operation for r in ROUTES if is_elsewhere(r)}
    assert {name for name in left_out if not name.startswith(("docs.", "pages."))} == {
        "feed.open",
        "console.live",
    }


def test_operations_have_names_of_their_own() -> None:
    names = [described(route)["operationId"] for route in LISTED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", ["/api/v2/stores", "/api/v2/products"])
def test_search_for_nothing_but_spaces_is_refused_by_the_document_too(path: str) -> None:
    [q] = [p for p in DOCUMENT["paths"][path]["get"]["parameters"] if p.get("name") == "q"]
    assert re.search(q["schema"]["pattern"], "rye bread")
    assert not re.search(q["schema"]["pattern"], " \u00a0")


def test_what_the_connection_refuses_by_itself_is_described_everywhere() -> None:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert {"400", "414", "431"} <= operation["responses"].keys(), operation["operationId"]


def test_everything_that_is_referred_to_is_there_and_nothing_else() -> None:
    found = set(REF.findall(json.dumps(DOCUMENT)))
    parts = DOCUMENT["components"]
    there = {(kind, name) for kind in ("schemas", "headers", "examples") for name in parts[kind]}
    assert found == there


@pytest.mark.parametrize("route", LISTED, ids=lambda route: route.operation)
def test_an_operation_says_what_it_is_and_who_may_call_it(route: Operation) -> None:
    operation = described(route)
    assert operation["summary"]
    assert operation["description"].startswith(operation["summary"])
    assert operation["tags"]
    assert bool(operation["security"]) == (route.scope is not None or route.shared)
    assert operation.get("x-scope") == route.scope
    if route.scope is not None:
        assert f"`{route.scope}`" in operation["description"]
        assert {"401", "403"} <= set(operation["responses"])
    if route.limit is not None:
        assert f"`{route.limit.name}`" in operation["description"]
        assert "429" in operation["responses"]


def test_the_overview_shows_the_scopes_and_limits_that_are_enforced() -> None:
    text = DOCUMENT["info"]["description"]
    for route in ROUTES:
        assert route.scope is None or f"`{route.scope}`" in text
        assert route.limit is None or f"| `{route.limit.name}` | {route.limit.limit} |" in text
    assert {route.limit for route in ROUTES} - {None} == set(POLICIES)


# -- answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", LISTED, ids=lambda route: route.operation)
def test_every_refusal_is_a_problem_with_an_example_of_each_code(route: Operation) -> None:
    for status, response in described(route)["responses"].items():
        if int(status) < 400 or (route.operation.startswith("health.") and status == "503"):
            continue
        [(media, content)] = response["content"].items()
        assert media == "application/problem+json"
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        for code, example in content["examples"].items():
            assert KINDS[code].status == int(status)
            assert f"`{code}`" in response["description"]
            conforms(resolved(example)["value"], content["schema"])


@pytest.mark.parametrize("route", LISTED, ids=lambda route: route.operation)
def test_answers_declare_the_headers_that_they_carry(route: Operation) -> None:
    limits = {"RateLimit", "RateLimit-Policy"} if route.limit else set()
    for status, response in described(route)["responses"].items():
        headers = response["headers"].keys()
        assert headers >= {"X-Trace-ID", *limits}
        assert ("Retry-After" in headers) >= (
            status in ("429", "503") and "problem" in str(response["content"])
        )
        assert ("WWW-Authenticate" in headers) == (status == "401")
        if int(status) < 400:
            assert ("ETag" in headers) >= bool(route.etag and status == str(route.status))


def test_header_examples_fit_their_schemas() -> None:
    for header in DOCUMENT["components"]["headers"].values():
        conforms(header["example"], header["schema"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_an_answer_fits_its_schema(name: str) -> None:
    conforms(EXAMPLES[name], {"$ref": f"#/components/schemas/{name}"})


def test_a_type_of_answers_without_an_example_makes_no_document() -> None:
    class UnshownAnswer(TypedDict):
        id: str

    with pytest.raises(ValueError, match=r"without an example in docs/examples\.py: \['Unshown'\]"):
        components_of([UnshownAnswer])


@pytest.mark.parametrize("route", LISTED, ids=lambda route: route.operation)
def test_good_answers_have_examples_that_fit(route: Operation) -> None:
    response = described(route)["responses"][str(route.status)]
    assert ("content" in response) == (route.answer is not None)
    for content in response.get("content", {}).values():
        for example in content["examples"].values():
            conforms(example["value"], content["schema"])


def test_what_was_created_leads_to_what_can_be_done_with_it() -> None:
    links = DOCUMENT["paths"]["/api/v2/orders"]["post"]["responses"]["201"]["links"]
    assert {"orders_get", "orders_cancel", "orders_events", "orders_accept"} <= links.keys()
    for route in LISTED:
        for status, response in described(route)["responses"].items():
            for name, link in response.get("links", {}).items():
                assert status == "201"
                assert link["operationId"] == name
                assert name in {described(other)["operationId"] for other in LISTED}
                assert "Location" in response["headers"]


# -- requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", LISTED, ids=lambda route: route.operation)
def test_bodies_have_examples_that_their_models_accept(route: Operation) -> None:
    model = route.body
    assert ("requestBody" in described(route)) == (model is not None)
    if model is None:
        return
    content, *others = described(route)["requestBody"]["content"].values()
    assert all(other == content for other in others)
    assert resolved(content["schema"])["additionalProperties"] is False, "unknown fields are refused"
    for example in content["examples"].values():
        conforms(example["value"], content["schema"])
        model.model_validate_json(json.dumps(example["value"]), strict=True)


@pytest.mark.parametrize("route", LISTED, ids=lambda route: route.operation)
def test_parameters_are_described_and_bounded(route: Operation) -> None:
    parameters = described(route)["parameters"]
    names = [(p["in"], p["name"]) for p in parameters]
    assert len(set(names)) == len(names)
    assert {name for where, name in names if where == "path"} == set(re.findall(r"{(\w+)}", route.path))
    for parameter in parameters:
        assert parameter["description"]
        if "example" in parameter:
            conforms(parameter["example"], parameter["schema"])


# -- bounds -----------------------------------------------------------------------------------------------

TYPED = dict(schemas_in({"paths": DOCUMENT["paths"], "components": DOCUMENT["components"]}))


def _of(kind: str) -> dict[str, dict[str, Any]]:
    return {where: schema for where, schema in TYPED.items() if kind in (schema["type"], *schema["type"])}


def test_every_text_has_a_length_and_a_form() -> None:
    assert len(_of("string")) > 100
    for where, schema in _of("string").items():
        if {"enum", "const"} & schema.keys():
            continue
        assert "maxLength" in schema, where
        assert {"pattern", "format"} & schema.keys(), where


def test_every_number_has_bounds() -> None:
    numbers = _of("integer") | _of("number")
    assert len(numbers) > 30
    for where, schema in numbers.items():
        assert {"minimum", "maximum"} <= schema.keys(), where


def test_every_list_has_an_end() -> None:
    assert len(_of("array")) > 10
    for where, schema in _of("array").items():
        assert "maxItems" in schema, where


def test_every_object_names_its_members() -> None:
    # What dispatch notes for admins, the facts of events, and what a job is given differ from type to type.
    free = {where for where, s in _of("object").items() if s.get("additionalProperties") is not False}
    assert free == {
        "/components/schemas/Event/properties/data",
        "/components/schemas/LoggedEvent/properties/data",
        "/components/schemas/Job/properties/payload",
    }
