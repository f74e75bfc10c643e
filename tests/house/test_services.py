"""Handlers ask services: no module of `api` names a query or opens a transaction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from storage.postgres.list_queries import LISTINGS
from storage.postgres.queries import BLOCKS

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"rows", "row", "value", "page"}
RECEIVERS = {"database", "_database", "transaction", "queries"}
# What may all the same, and why.
EXCEPTIONS: dict[str, list[str]] = {}


def _last_name(node: ast.AST) -> str:
    """`database` of `call.office.database`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def queries_of(text: str) -> list[str]:
    """What a module does to the database by itself."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr == "transaction":
            found.append(f"{node.lineno} opens a transaction")
        elif isinstance(node, ast.Attribute) and node.attr in METHODS and _last_name(node.value) in RECEIVERS:
            found.append(f"{node.lineno} queries {_last_name(node.value)}")
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
        ):
            named = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
            found += [f"{node.lineno} names {name}" for name in named if name in BLOCKS or name in LISTINGS]
    return found


def test_no_module_of_api_names_a_query_or_opens_a_transaction() -> None:
    found = {
        str(path.relative_to(ROOT)): queries_of(path.read_text()) for path in (ROOT / "api").rglob("*.py")
    }
    assert {name: lines for name, lines in found.items() if lines and name not in EXCEPTIONS} == {}
    assert [name for name in EXCEPTIONS if not found.get(name)] == [], "no exception without need"


@pytest.mark.parametrize(
    "line",
    [
        'row = await call.office.database.row("user_get", 1)',
        "async with office.database.transaction() as transaction: pass",
        "load = partial(database.page, listing, filters)",
        'found = await anything.rows("zones_of_all")',
        'found = await anything.page("user_list", {})',
        'total = await database.value(f"{kind}_numbered_total")',
    ],
)
def test_a_query_is_found_however_it_is_asked(line: str) -> None:
    assert queries_of(f"async def handler(call):\n    {line}\n")
