"""What Schemathesis asks beyond its own checks. It loads this by itself, in a process of its own."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.openapi.checks import UseAfterFree
from schemathesis.specs.openapi.checks import use_after_free

# Refusals of what fits its schema, but makes no sense: references, combinations, moments.
_MEANINGS = {
    "cursor": "a cursor is one that we gave out",
    "range": "a time is near now",
    "not_allowed": "an endpoint is public, by https, at a known port",
    "role": "only drivers have a zone",
    "unknown": "a reference leads to something",
    "value_error": "fields belong together; a text holds invisible characters of higher planes; near is on the globe",
}
_CODES = {
    "unknown_product", "inactive_product", "mixed_currency", "mixed_zones", "key_reused", "invalid_cursor",
    "out_of_range",
}  # fmt: skip


def refused_for_its_meaning(ctx: Any, response: Any, case: Any) -> None:
    """Whoever keeps to the schema is refused for a reason that a schema cannot tell."""
    del ctx
    if response.status_code not in (400, 422) or not _keeps_to_schema(case):
        return
    problem = response.json()
    # Version 1 has flat errors.
    code, faults = problem.get("code", problem.get("error")), problem.get("errors", problem.get("details"))
    if code in _CODES:
        return
    assert faults, "a fault is named"
    if code == "malformed_request" and all(fault["code"] == "format" for fault in faults):
        return  # a header that no tool makes up well: entity tags
    assert code == "invalid", problem
    for fault in faults:
        # How much is too much, and how many digits there are, depends on the currency.
        whole = str(fault.get("field", "")) == "price"
        # What a whole user is depends on its role (version 1).
        whole = whole or fault.get("message") == "PUT replaces: a driver needs it"
        assert whole or fault["code"] in _MEANINGS, fault


def _keeps_to_schema(case: Any) -> bool:
    generation = getattr(case.meta, "generation", None)
    return generation is not None and generation.mode.is_positive


def deleted_as_documented(ctx: Any, response: Any, case: Any) -> None:
    """What was deleted is gone; stores and products, to which orders refer, answer and say that they are not active.

    The tool's own check knows only the former, and this one asks it.
    """
    try:
        use_after_free(ctx, response, case)
    except UseAfterFree:
        kind = case.operation.path.removeprefix("/api/").split("/")[1]
        assert kind in ("stores", "products"), case.operation.label
        if case.operation.label.endswith("/{id}") and case.method == "GET" and not _revived(ctx):
            assert response.json()["active"] is False, "it was deleted"


def _revived(ctx: Any) -> bool:
    """Somebody has written to what was deleted, and may have put it back on its shelf."""
    return any(case.method == "PATCH" for case in ctx.internals.find_all_cases())


def traced_and_closed(ctx: Any, response: Any, case: Any) -> None:
    """Every answer names its trace, and a problem names the same one; nothing of the inside is told."""
    del ctx, case
    [trace] = response.headers["x-trace-id"]
    assert len(trace) == 32
    if response.status_code >= 400 and response.content and "problem" in response.headers["content-type"][0]:
        problem = response.json()
        assert problem["trace_id"] == trace
        assert response.headers["content-language"] == ["en"]
    for secret in (b"Traceback", b"asyncpg", b'File "', b"SELECT ", b"pydantic", b"aiohttp/"):
        assert secret not in response.content


schemathesis.check(refused_for_its_meaning)
schemathesis.check(deleted_as_documented)
schemathesis.check(traced_and_closed)
