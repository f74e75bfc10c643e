"""Guards of order changes in memory, like order_move_legal() and flush_orders() in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The pairs of order_move_legal(). A test compares all three tables.
LEGAL_MOVES = frozenset(
    {
        ("awaiting_payment", "confirmed"),
        ("awaiting_payment", "cancelled"),
        ("confirmed", "assigned"),
        ("confirmed", "cancelled"),
        ("confirmed", "delivered"),
        ("confirmed", "undeliverable"),
        ("assigned", "confirmed"),
        ("assigned", "picked_up"),
        ("assigned", "cancelled"),
        ("assigned", "undeliverable"),
        ("assigned", "delivered"),
        ("picked_up", "delivered"),
        ("picked_up", "undeliverable"),
    }
)

CARRIED = ("assigned", "picked_up")


def is_over(item: Mapping[str, Any]) -> bool:
    """True for a hand-over from the carrying driver to another one."""
    return bool(item.get("free")) and item["status"] in CARRIED


def is_legal(row: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """True if the transition is legal, and the driver only changes together with the slot."""
    before, after, over = row["status"], item["status"], is_over(item)
    if before != after and (before, after) not in LEGAL_MOVES:
        return False
    takes = item.get("take") is not None
    if takes != ((before == "confirmed" and after == "assigned") or over):
        return False
    if takes and item["take"] != item["driver"]:
        return False
    if over:
        return bool(before == after and item["take"] != row["driver_id"])
    if before in CARRIED:
        return bool(item["driver"] == row["driver_id"] if after in CARRIED else item["free"])
    return True
