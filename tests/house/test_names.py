"""Names of classes: one name, one class, so that a name in a log, a traceback or a search has one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("config", "actors", "storage", "dispatch", "api", "run.py")


def duplicates(*rooms: str) -> dict[str, list[str]]:
    """Public classes of the same name, nested ones too, with their files. Private names may repeat."""
    files: dict[str, list[str]] = defaultdict(list)
    for room in rooms:
        place = ROOT / room
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    files[node.name].append(str(path.relative_to(ROOT)))
    return {name: found for name, found in sorted(files.items()) if len(found) > 1}


def test_no_two_classes_of_the_product_have_one_name() -> None:
    assert duplicates(*PRODUCT) == {}


def test_no_two_classes_of_the_load_tests_have_one_name() -> None:
    assert duplicates("loadtests") == {}
