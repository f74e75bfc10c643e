"""Transform of problems: version 1 has flat errors, version 2 problem details (RFC 9457)."""

from __future__ import annotations

from typing import Any

from api.v1.transforms import money, places
from api.v1.transforms.tree import parts

_MOVED = ("type", "title", "status", "code", "detail", "errors")


def backward(operation: str, problem: dict[str, Any]) -> dict[str, Any]:
    """The flat error `{"error", "message", "details", …}`; the problem's other members stay."""
    shown = {
        "error": problem["code"],
        "message": problem.get("detail") or problem["title"],
        "details": [_detail(operation, fault) for fault in problem.get("errors", ())],
    }
    return shown | {name: value for name, value in problem.items() if name not in _MOVED}


def _detail(operation: str, fault: dict[str, str]) -> dict[str, str]:
    name = fault["pointer"]
    if fault["location"] == "body" and name.startswith("#"):
        path = parts(name)
        for difference in (money, places):
            path = difference.field(operation, path)
        name = ".".join(path)
    return {"in": fault["location"], "field": name, "code": fault["code"], "message": fault["detail"]}
