"""The document says what the routes do."""

from __future__ import annotations

from openapi_spec_validator import validate

from api.access import ACCESS
from api.app import ROUTES
from api.docs.openapi import make_document
from api.docs.operations import OPERATIONS


def test_document_is_valid_openapi() -> None:
    validate(make_document(ROUTES))


def test_every_route_is_described_and_nothing_else() -> None:
    assert set(OPERATIONS) == set(ACCESS)
    document = make_document(ROUTES)
    described = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert described == {(r.method, r.path) for r in ROUTES if not r.operation.startswith("docs.")}


def test_guarded_operations_need_a_token_and_say_for_whom() -> None:
    document = make_document(ROUTES)
    for route in ROUTES:
        if route.operation.startswith("docs."):
            continue
        described = document["paths"][route.path][route.method.lower()]
        scope = ACCESS[route.operation].scope
        assert bool(described["security"]) == (scope is not None)
        if scope is not None:
            assert f"`{scope}`" in described["description"]
            assert {"401", "403"} <= set(described["responses"])


def test_bodies_forbid_unknown_fields() -> None:
    schemas = make_document(ROUTES)["components"]["schemas"]
    bodies = {row.body.__name__ for row in OPERATIONS.values() if row.body is not None}
    assert all(schemas[name]["additionalProperties"] is False for name in bodies)
