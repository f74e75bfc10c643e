"""An order of version 1 is fetched from one store: the first. How many there are besides is said, and no more.

Nor has it anybody to ask for at the door.
"""

from __future__ import annotations

from typing import Any

from api.v1.transforms.tree import objects


def backward(answer: Any) -> None:
    """`pickups` becomes `more_stores`, `contact` goes."""
    for _, node in objects(answer):
        if "pickups" in node:
            node["more_stores"] = len(node.pop("pickups")) - 1
            node.pop("contact", None)
