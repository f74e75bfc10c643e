"""Transform of fields that were added to version 2 later: version 1 neither shows nor takes them."""

from __future__ import annotations

from typing import Any

from api.v1.request_draft import Draft, refuse_body
from api.v1.transforms.tree import objects, pointer

LATER = frozenset(
    {
        "low_stock",
        "unassigned_after_s",
        "planning",
        "trip",
        "trip_id",
        "shift_ends_at",
        "eta",
        "promised_at",
        "delivery_rules",
        "deliver_at",
        "tip",
        "tip_minor",
        "dropoff_pin",
        "pin",
        "pin_required",
        "returning",
        "returning_since",
        "cancellation_fee",
        "preparation_learned",
        "queue_radius_m",
        "queue_place",
    }
)
# Modes of zones that version 1 does not know; to it, their orders are offered in waves.
LATER_MODES = frozenset({"planned", "direct"})


def forward(draft: Draft) -> None:
    """Refuse these fields, like all that version 1 does not know.

    Raises:
        Problem: `invalid`.
    """
    found = [pointer((*path, name)) for path, node in objects(draft.body) for name in LATER & node.keys()]
    refuse_body([(where, "extra_forbidden", "not known") for where in sorted(found)])
    if draft.operation == "zones.create" and draft.body is not None:
        draft.body.setdefault("mode", "waves")  # what it was when version 1 was made
    modes = [pointer((*path, "mode")) for path, node in objects(draft.body) if _has_later_mode(node)]
    refuse_body([(where, "literal_error", "not known") for where in modes])


def backward(answer: Any) -> None:
    """Drop these fields."""
    for _, node in objects(answer):
        for name in LATER:
            node.pop(name, None)
        if "wave_size" in node and _has_later_mode(node):
            node["mode"] = "waves"


def _has_later_mode(node: dict[str, Any]) -> bool:
    mode = node.get("mode")
    return isinstance(mode, str) and mode in LATER_MODES
