"""Names of log events, collected from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from loadtests.kit.server import ROOT

ROOMS = ("config", "actors", "storage", "dispatch", "api")
# What actors/ tells of its peers: it is written as `lost` and `back` (api/http/observers.py).
TRANSLATED = {"lost_peer", "unreachable_peer", "met_peer"}
_LEVELS = {"debug", "info", "warning", "error"}
_LOGGERS = {"log", "_log"}
# Calls under another name: where the event stands among their arguments.
_CALLS = {"log_event": 0, "log": 0, "_log": 0, "say": 0}
# `say` of config/logs.py: text, format, event.
_SAID = 2
_NAME = re.compile(r"[a-z]+(_[a-z]+)*")
# `getattr(log, level)`.
_CHOSEN = re.compile(r"getattr\((\w+\.)*_?log,")
_RAW = re.compile(r'\{"event":"([a-z_]+)"')


def sources() -> list[Path]:
    """Files of the program."""
    return [*(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))), ROOT / "run.py"]


def events_in(text: str) -> set[str]:
    """Names of the events that a module may log."""
    found = set(_RAW.findall(text))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            found.update(name for name in _of_call(node) if _NAME.fullmatch(name))
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "LEVELS":
            # The events of actors/, by level: some are raised under a name that is put together.
            assert isinstance(node.value, ast.Dict)
            found.update(key.value for key in node.value.keys if isinstance(key, ast.Constant))
    return {name for name in found if isinstance(name, str)}


def _of_call(call: ast.Call) -> Iterator[str]:
    called = call.func
    name = (
        called.attr
        if isinstance(called, ast.Attribute)
        else called.id
        if isinstance(called, ast.Name)
        else ""
    )
    if _is_method(called):
        yield from _texts(call.args[:1])
    elif name == "partial" and call.args and _is_method(call.args[0]):
        yield from _texts(call.args[1:2])
    elif isinstance(called, ast.Call) and _CHOSEN.match(ast.unparse(called)):
        yield from _texts(call.args[:1])
    elif name == "say" and len(call.args) > _SAID:
        yield from _texts(call.args[_SAID : _SAID + 1])
    elif name in _CALLS:
        yield from _texts(call.args[:1])


def _is_method(called: ast.expr) -> bool:
    """`log.info`, `self._log.error`."""
    if not isinstance(called, ast.Attribute) or called.attr not in _LEVELS:
        return False
    owner = called.value
    return (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")) in _LOGGERS


def _texts(arguments: list[ast.expr]) -> Iterator[str]:
    """Texts of an argument: one, or both of a choice."""
    for argument in arguments:
        choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
        for choice in choices:
            if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
                yield choice.value
