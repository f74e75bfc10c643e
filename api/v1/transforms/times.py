"""Transform of times: whole seconds in version 1, milliseconds in version 2."""

from __future__ import annotations

import re
from typing import Any

from api.v1.transforms.tree import objects

_MILLISECONDS = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.[0-9]{3}Z", re.ASCII)


def backward(answer: Any) -> None:
    """Cut times to whole seconds."""
    for _, node in objects(answer):
        for name, value in node.items():
            if (name == "at" or name.endswith("_at")) and isinstance(value, str):
                node[name] = _MILLISECONDS.sub(r"\1Z", value)
