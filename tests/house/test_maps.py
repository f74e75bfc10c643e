"""Maps of folders, in the docstring of `__init__.py`: each file is named, and each name has a file.

A line of a map begins with the name of a file or of a folder (`name/`), or with several, parted by commas.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("config", "actors", "storage", "dispatch", "api", "loadtests")
PACKAGES = sorted(p.parent for room in ROOMS for p in (ROOT / room).rglob("__init__.py"))
# Folders of tests whose map is not held yet.
WITHOUT_MAP = ("unit/loadtests",)
TESTS = ROOT / "tests"
TEST_FOLDERS = sorted(
    p.parent
    for p in TESTS.rglob("__init__.py")
    if not p.parent.relative_to(TESTS).as_posix().startswith(WITHOUT_MAP)
)
_ENTRY = re.compile(r"[\w.-]+\.\w+|[\w-]+/")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _map(package: Path) -> str:
    return ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""


def _packages_in(package: Path) -> set[str]:
    return {f"{p.name}/" for p in package.iterdir() if (p / "__init__.py").exists()}


@pytest.mark.parametrize("package", [p for p in PACKAGES if "migrations" not in p.parts], ids=_name)
def test_map_of_a_room_lists_what_is_in_it(package: Path) -> None:
    """A map that lies is worse than none."""
    doc = _map(package)
    there = {p.name for p in package.glob("*.py")} - {"__init__.py"} | _packages_in(package)
    assert sorted(name for name in there if name not in doc) == []
    listed = {
        word
        for line in doc.splitlines()
        for word in line.replace(",", " ").split()[:1]
        if word.endswith(".py")
    }
    assert sorted(listed - there) == []


def _listed(doc: str) -> set[str]:
    """The names at the beginning of the lines of a map."""
    found: set[str] = set()
    for line in doc.splitlines():
        names = line.partition("  ")[0].replace(",", " ").split()
        if names and all(_ENTRY.fullmatch(name) for name in names):
            found.update(names)
    return found


def _mirrors(folder: Path) -> set[str]:
    """Tests that bear the name of a module of the product: `unit/api/test_cursors.py` tests `cursors.py` of api/."""
    parts = folder.relative_to(TESTS).parts
    if parts[:1] != ("unit",) or len(parts) == 1:
        return set()
    return {f"test_{p.stem}.py" for p in ROOT.joinpath(*parts[1:]).rglob("*.py")}


@pytest.mark.parametrize("folder", TEST_FOLDERS, ids=_name)
def test_map_of_tests_names_every_file_and_no_other(folder: Path) -> None:
    """A unit test that bears the name of what it tests need not be named."""
    listed = _listed(_map(folder))
    there = {p.name for p in folder.iterdir() if p.is_file()} - {"__init__.py"} | _packages_in(folder)
    unnamed, gone = sorted(there - listed - _mirrors(folder)), sorted(listed - there)
    assert not unnamed, f"not in the map of {_name(folder)}/__init__.py: {', '.join(unnamed)}"
    assert not gone, f"in the map of {_name(folder)}/__init__.py, and no file: {', '.join(gone)}"


def test_readme_of_tests_names_every_tier() -> None:
    readme = (TESTS / "README.md").read_text()
    assert sorted(name for name in _packages_in(TESTS) if f"`{name}`" not in readme) == []
