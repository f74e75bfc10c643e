"""The ledger of the demo against the server's orders: pure functions, each finding a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.demo.ledger import CANCELLED, DELIVERED, Note
from loadtests.replay.mall import twice

# What an order that was paid in cash may be at any time.
LEGAL = frozenset({"confirmed", "assigned", "picked_up", "delivered", "cancelled", "undeliverable"})


@dataclass(slots=True)
class AuditFindings:
    """What does not agree; each list should be empty.

    Attributes:
        lost: acknowledged orders that are not there, or not what their users were told.
        doubled: orders that two drivers had at once, or that a driver was told to have and had not.
        misdelivered: orders that somebody else delivered than the driver who won.
        compared: how many orders were looked at.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    misdelivered: list[str] = field(default_factory=list)
    compared: int = 0

    @property
    def all(self) -> list[str]:
        return [*self.doubled, *self.lost, *self.misdelivered]

    def examine(
        self, number: str, note: Note, order: Mapping[str, Any] | None, history: Sequence[dict[str, Any]]
    ) -> None:
        """Compare one order: what was seen of it, how the server shows it, and its history."""
        self.compared += 1
        self.lost += [f"{number} {what}" for what in _lost(note, order)]
        self.doubled += [f"{number} {what}" for what in twice(history, sorted(note.told))]
        if order is not None:
            self.misdelivered += [f"{number} {what}" for what in _misdelivered(note, order, history)]


def _lost(note: Note, order: Mapping[str, Any] | None) -> list[str]:
    if order is None:
        return ["was acknowledged and is not there"]
    status = order["status"]
    if status not in LEGAL:
        return [f"has no legal status: {status}"]
    if note.state in (DELIVERED, CANCELLED) and status != note.state:
        return [f"was {note.state} and is {status}"]
    return []


def _misdelivered(note: Note, order: Mapping[str, Any], history: Sequence[dict[str, Any]]) -> list[str]:
    """Faults of an order that somebody says was delivered."""
    faults = []
    winner = None
    for event in history:
        if event["type"] == "assigned":
            winner = event["data"]["driver_id"]
        elif event["type"] == "delivered" and event["by"]["id"] != winner:
            faults.append(f"was delivered by {event['by']['id']}, won by {winner}")
    if order["status"] == DELIVERED:
        if order["driver_id"] != winner:
            faults.append(f"is shown with {order['driver_id']}, won by {winner}")
        if winner not in {won.driver_id for won in note.told}:
            faults.append(f"was delivered by {winner}, who was never told that it won")
        if not note.carriers:
            faults.append("was delivered, and no driver knows of it")
    faults += [
        f"{carrier} was told it delivered; {winner} won" for carrier in note.carriers if carrier != winner
    ]
    return faults
