"""Transform of fields that were added to version 2 later: version 1 neither shows nor takes them."""

from __future__ import annotations

from typing import Any

from api.v1.request_draft import Draft, refuse_body
from api.v1.transforms.tree import objects, pointer

LATER = frozenset({"low_stock", "unassigned_after_s"})


def forward(draft: Draft) -> None:
    """Refuse these fields, like all that version 1 does not know.

    Raises:
        Problem: `invalid`.
    """
    found = [pointer((*path, name)) for path, node in objects(draft.body) for name in LATER & node.keys()]
    refuse_body([(where, "extra_forbidden", "not known") for where in sorted(found)])


def backward(answer: Any) -> None:
    """Drop these fields."""
    for _, node in objects(answer):
        for name in LATER:
            node.pop(name, None)
