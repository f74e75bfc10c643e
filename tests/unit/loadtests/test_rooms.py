"""What the rooms of the load tests may know of the server, and that a class name means one thing in them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SERVER = ("actors", "api", "dispatch", "storage", "config")
SHOWN = f"print(sorted(m for m in sys.modules if m.partition('.')[0] in {SERVER}))"


@pytest.mark.parametrize(
    "module",
    [
        "loadtests.demo.__main__",
        "loadtests.replay.__main__",
        "loadtests.rush.__main__",
        "loadtests.slow.__main__",
        "loadtests.slow.slow_clients",
        "loadtests.swarm.__main__",
        "loadtests.kit.phone_cli",
    ],
)
def test_tool_that_uses_the_api_alone_imports_nothing_of_the_server(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; {SHOWN}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_class_name_means_one_thing() -> None:
    places = defaultdict(list)
    for path in sorted((ROOT / "loadtests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_top_level_holds_rooms_only() -> None:
    files = {path.name for path in (ROOT / "loadtests").iterdir() if path.is_file()}
    assert files == {"__init__.py", "README.md"}
