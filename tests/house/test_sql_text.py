"""About the SQL: everything in the present text says what it is for, and the map of storage/postgres is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "storage" / "postgres"
MAP = (HOME / "README.md").read_text()
FUNCTIONS = sorted((HOME / "functions").glob("*.sql"))
MAP_LINES_MAX = 60


@pytest.mark.parametrize("path", [HOME / "schema.sql", *FUNCTIONS], ids=lambda path: path.name)
def test_each_table_view_sequence_and_function_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text().splitlines()
    made = [at for at, line in enumerate(lines) if re.match("CREATE (TABLE|VIEW|SEQUENCE|FUNCTION) ", line)]
    assert made
    assert [lines[at] for at in made if not lines[at - 1].startswith("-- ")] == []


def test_files_that_the_map_names_are_there() -> None:
    named = re.findall(r"`([a-z_/]+(?:\.(?:sql|py|lua)|/))`", MAP)
    near = [ROOT, HOME, HOME / "functions", ROOT / "storage" / "redis", ROOT / "storage" / "redis" / "lua"]
    assert len(named) > 25
    assert [name for name in named if not any((folder / name).exists() for folder in near)] == []


def test_map_names_every_file_of_statements() -> None:
    files = [*FUNCTIONS, *(HOME / "sql").glob("*.sql"), *HOME.glob("*.sql")]
    assert [path.name for path in files if not re.search(rf"\b{path.name}`", MAP)] == []
    assert MAP.count("\n") <= MAP_LINES_MAX, "a map is a page"
