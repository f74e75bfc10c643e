"""The seam to aiohttp: its insides are used by way of `api/transport/aiohttp_internals.py`, and nowhere else."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from api.transport.aiohttp_internals import INSIDES

ROOT = Path(__file__).resolve().parents[2]
SEAM = ROOT / "api" / "transport" / "aiohttp_internals.py"
SOURCES = [*sorted((ROOT / "api").rglob("*.py")), ROOT / "run.py"]
# What its documentation names. Of `aiohttp` itself, what it exports.
PUBLIC_MODULES = {"aiohttp", "aiohttp.web", "aiohttp.hdrs", "aiohttp.abc"}
# What aiohttp or asyncio documents as to be overridden.
DOCUMENTED = {
    "__init__", "connection_made", "prepare", "receive", "close", "write", "decode", "size", "autoclose",
    "resolve",
}  # fmt: skip
# A protocol of asyncio's own: what a task does to show that it has understood.
OF_ASYNCIO = {("api/transport/taskless.py", "_asyncio_future_blocking")}
LISTED = {name for parts in INSIDES.values() for name in parts}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def private_imports(tree: ast.AST) -> Iterator[str]:
    """What is imported of aiohttp that it does not document."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "aiohttp" and alias.name not in PUBLIC_MODULES:
                    yield f"{node.lineno}: {alias.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aiohttp":
            for alias in node.names:
                exported = {*aiohttp.__all__, "web"} if node.module == "aiohttp" else {alias.name}
                if (
                    node.module not in PUBLIC_MODULES
                    or alias.name not in exported
                    or alias.name.startswith("_")
                ):
                    yield f"{node.lineno}: {node.module}.{alias.name}"


def is_own(node: ast.expr) -> bool:
    """True for `self`, `cls` and `super()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "super")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def foreign_attributes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Private attributes of an object that is not `self`: none of our own objects has its touched, either."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield node.lineno, node.attr


@pytest.mark.parametrize("path", [path for path in SOURCES if path != SEAM], ids=name_of)
def test_nobody_but_the_seam_looks_into_aiohttp(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert list(private_imports(tree)) == []
    touched = [
        (line, attribute)
        for line, attribute in foreign_attributes(tree)
        if (name_of(path), attribute) not in OF_ASYNCIO
    ]
    assert touched == []


def subclasses() -> Iterator[tuple[Path, ast.ClassDef, type]]:
    """The product's classes that stand on a class of aiohttp."""
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.bases:
                found = getattr(importlib.import_module(module), node.name)
                if any(base.__module__.startswith("aiohttp") for base in found.__mro__):
                    yield path, node, found


def inherited(cls: type) -> set[str]:
    """All that the aiohttp classes under a class have, or give their instances when they are made."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.startswith("aiohttp"):
            names |= set(vars(base))
            for value in vars(base).values():
                if isinstance(value, FunctionType):
                    names |= set(re.findall(r"\bself\.(\w+)\b", inspect.getsource(value)))
    return names


def test_subclasses_of_aiohttp_use_and_override_only_what_is_listed() -> None:
    found = list(subclasses())
    assert len(found) > 6
    unlisted: list[str] = []
    for path, node, cls in found:
        theirs = inherited(cls)
        used = {
            part.attr
            for part in ast.walk(node)
            if isinstance(part, ast.Attribute) and is_private(part.attr) and is_own(part.value)
        }
        overridden = {
            part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        } - DOCUMENTED
        unlisted += [
            f"{name_of(path)} {cls.__name__}.{name}"
            for name in sorted((used | overridden) & theirs - LISTED - {"__call__"})
        ]
    assert unlisted == []


def test_what_the_seam_lists_is_used() -> None:
    text = "\n".join(path.read_text() for path in SOURCES if path != SEAM)
    text += SEAM.read_text().partition("\ncheck()\n")[2]
    text += (ROOT / "api" / "transport" / "README.md").read_text()
    unused = [name for name in sorted(LISTED) if re.search(rf"\b{name}\b", text) is None]
    assert unused == []


def test_scan_sees_what_it_is_for() -> None:
    """A scan that finds nothing anywhere would pass for ever."""
    tree = ast.parse(
        "import aiohttp.web_protocol\nfrom aiohttp import web_response, web\nfrom aiohttp.web import _x\n"
        "request._cache\nself._waiter\nsuper()._process()\nself.ws._req\n"
    )
    assert len(list(private_imports(tree))) == 3
    assert [attribute for _, attribute in foreign_attributes(tree)] == ["_cache", "_req"]

    class Server(web.Server):
        pass

    assert {"_kwargs", "_connections", "shutdown"} <= inherited(Server)


def test_stock_server_needs_no_insides() -> None:
    """Or it could not serve with an aiohttp whose insides have changed."""
    code = """
import sys, aiohttp.web_protocol
del aiohttp.web_protocol.RequestHandler._waiter
import run, api.server.instance, api.app, api.feed.handshake
from api.feed.socket_class import socket_class
from api.transport.runners import runner_class
print(runner_class(fast=False).__name__, socket_class(fast=False).__name__)
print([name for name in sys.modules if name.endswith("aiohttp_internals")])
"""
    done: Any = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout.splitlines() == ["StockRunner StockSocket", "[]"]
