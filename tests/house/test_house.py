"""About the code itself: docstrings, tasks with owners, modules that import alone, the tests of the threat model."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THREATS = ROOT / "api" / "THREAT_MODEL.md"
ROOMS = ("config", "actors", "storage", "dispatch", "api", "loadtests")
SOURCES = [*sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py")), ROOT / "run.py"]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body or "versions" in path.parts, "a module says what it is"


def _undocumented(path: Path) -> list[str]:
    """Public functions, and classes that carry behaviour, without a docstring."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_") and not ast.get_docstring(node):
                found.append(node.name)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            if methods and not ast.get_docstring(node):
                found.append(node.name)
    return found


@pytest.mark.parametrize("room", ["actors", "dispatch", "config"])
def test_every_public_name_of_the_core_is_documented(room: str) -> None:
    bare = {_name(path): _undocumented(path) for path in (ROOT / room).rglob("*.py")}
    assert {name: names for name, names in bare.items() if names} == {}


# Modules of other projects, templates of names, and texts that a fault is made of.
NOT_OURS = re.compile(r"NNNN_|script\.py\.mako|mall/api/edge|web_protocol|web_server|reader_py|http_parser")


def _texts() -> list[Path]:
    """The files of the repository: what stands in its rooms, and beside them."""
    found = [path for room in (*ROOMS, "tests") for path in sorted((ROOT / room).rglob("*"))]
    found += sorted(ROOT.glob("*"))
    return [
        path for path in found if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts)
    ]


def test_files_that_texts_name_are_there() -> None:
    """A module that was renamed is renamed in every docstring, comment and document, too."""
    listed = [str(path.relative_to(ROOT)) for path in _texts()]
    there = [f"/{name}" for name in listed]
    gone = []
    for name in listed:
        if (
            not name.endswith((".py", ".md", ".sql", ".lua", ".tla", ".cfg"))
            or "migrations/" in name
            or name == "CHANGELOG.md"
        ):
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            for found in re.finditer(r"(?<!\w)[./]*(\w[\w./]*\.py)\b", line):
                if not NOT_OURS.search(line) and not any(path.endswith(f"/{found[1]}") for path in there):
                    gone.append(f"{name}:{number} {found[1]}")
    assert gone == []


def test_functions_that_the_stories_name_are_there() -> None:
    """`dispatch/order_actor.py: decide` in STORIES.md is a function of that file."""
    text = (ROOT / "dispatch" / "STORIES.md").read_text()
    named = re.findall(r"`([\w/]+\.py): (\w+)`", text)
    gone = []
    for name, function in named:
        texts = [path.read_text() for path in SOURCES if str(path).endswith(f"/{name}")]
        if not any(re.search(rf"\bdef {function}\b", source) for source in texts):
            gone.append((name, function))
    assert len(named) > 30
    assert gone == []


def test_no_task_without_an_owner() -> None:
    """A task is made by a group that somebody has opened, nowhere else."""
    allowed = ("tasks.create_task", "group.create_task", "_tasks.create_task", "hub.tasks.create_task")
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "create_task(" in line and not any(a in line for a in allowed):
                pytest.fail(f"{_name(path)}:{number} {line.strip()}")


@pytest.mark.parametrize(
    "module", ["actors.runtime", "dispatch.service", "storage.memory.journal", "api.app"]
)
def test_module_imports_alone(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = set(
        re.findall(r"`((?:unit|contracts|integration|acceptance)/[a-z_/]+\.py)`", THREATS.read_text())
    )
    assert len(named) > 25
    assert sorted(path for path in named if not (ROOT / "tests" / path).exists()) == []
