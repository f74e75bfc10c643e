"""Migrations say how they go together with the version before: expand, or contract (UPGRADING.md)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[2] / "storage" / "postgres" / "migrations"
# Released before there was a rule.
FIRST = "0028"
NEW = [path for path in sorted((ROOM / "versions").glob("[0-9]*.py")) if path.name >= FIRST]
_PHASE = re.compile(r"^(Expand|Contract): \S.*", re.MULTILINE)
_TAKES = re.compile(
    r"\b(DROP (TABLE|COLUMN|FUNCTION|VIEW)|RENAME (TO|COLUMN)|SET NOT NULL|ALTER COLUMN \w+ TYPE)\b"
)


def phases(docstring: str) -> list[str]:
    return _PHASE.findall(docstring)


def takes_away(sql: str) -> list[str]:
    """Statements after which a version that knows no better may fail."""
    return [found[0] for found in _TAKES.finditer(re.sub(r"--.*", "", sql))]


@pytest.mark.parametrize("path", NEW, ids=lambda path: path.stem)
def test_new_migration_says_whether_it_expands_or_contracts(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert phases(docstring), f"{path.name}: a paragraph that begins with `Expand:` or `Contract:`"


@pytest.mark.parametrize("path", NEW, ids=lambda path: path.stem)
def test_migration_that_takes_something_away_says_so(path: Path) -> None:
    """Also one that expands may drop what nobody uses; then it says why that is safe."""
    sql = ROOM / "sql" / f"{path.stem}.sql"
    taken = takes_away(sql.read_text()) if sql.exists() else []
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert not taken or "Contract" in phases(docstring) or "dropped" in docstring, f"{path.name}: {taken}"


def test_rules_find_what_they_look_for() -> None:
    assert phases("A thing.\n\nExpand: a column.\n") == ["Expand"]
    assert phases("A thing that expands.") == []
    assert takes_away("-- DROP TABLE a;\nALTER TABLE a RENAME COLUMN b TO c;") == ["RENAME COLUMN"]
    assert len(NEW) >= 2
