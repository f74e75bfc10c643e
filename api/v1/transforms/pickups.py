"""Transform of pick-ups: an order of version 1 shows its first store and the number of further ones.

It also has no contact.
"""

from __future__ import annotations

from typing import Any

from api.v1.transforms.tree import objects


def backward(answer: Any) -> None:
    """Replace `pickups` by `more_stores`, and drop `contact`."""
    for _, node in objects(answer):
        if "pickups" in node:
            node["more_stores"] = len(node.pop("pickups")) - 1
            node.pop("contact", None)
