"""Searches of the model, with their expected verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from actors.values import frozen

HOLDS, BROKEN = "holds", "broken"
PROPERTIES = ("P1", "P2", "P3", "P4", "P5")

# The protocol as it is. Values are TLA+.
OURS: Mapping[str, str] = {
    "Fence": '"lock"',
    "EpochIn": '"postgres"',
    "LoadFirst": "FALSE",
    "HandOffLoads": "FALSE",
    "AckEarly": "FALSE",
    "SettleClaim": '"conditional"',
    "SettleReads": '"ring"',
    "SettleKeeps": "FALSE",
}


@frozen
class SearchBounds:
    """Bounds of a search. Within them it is exhaustive; each number multiplies the states."""

    instances: int = 2
    orders: int = 1
    epochs: int = 3
    losses: int = 1
    crashes: int = 0
    silences: int = 1
    writes: int = 2

    def __str__(self) -> str:
        return (
            f"{self.instances} instances, {self.orders} order{'s' * (self.orders > 1)}, {self.epochs} claims, "
            f"{self.losses} losses, {self.crashes} crashes, {self.silences} silences, {self.writes} writes"
        )


@frozen
class Case:
    """One search: properties of a protocol, within bounds."""

    name: str
    properties: tuple[str, ...]
    expected: str
    bounds: SearchBounds
    switches: Mapping[str, str] = field(default_factory=dict)


@frozen
class Variant:
    """A wrong variant of the protocol.

    Attributes:
        name: for the table, and for `STORY=`.
        switches: differences from OURS.
        broken: properties that it breaks; each has a search of its own.
        bounds: the smallest bounds in which all of them show.
        holds: properties that it keeps; None: all others; (): none is searched.
    """

    name: str
    switches: Mapping[str, str]
    broken: tuple[str, ...]
    bounds: SearchBounds = SearchBounds()
    holds: tuple[str, ...] | None = None

    def cases(self) -> list[Case]:
        """Searches of a variant: one per broken property, since each ends at its first trace, and one for the rest."""
        rest = tuple(p for p in PROPERTIES if p not in self.broken) if self.holds is None else self.holds
        found = [Case(self.name, (p,), BROKEN, self.bounds, self.switches) for p in self.broken]
        return [*found, *([Case(self.name, rest, HOLDS, self.bounds, self.switches)] if rest else [])]


CORRECT = (
    SearchBounds(epochs=4, losses=2, crashes=1, silences=2),
    SearchBounds(epochs=4, silences=2, writes=3),
    # Two orders: one stays in memory over a claim while the other is settled.
    SearchBounds(orders=2, epochs=4, silences=2, writes=3),
    SearchBounds(instances=3, losses=2, crashes=1),
)

# Two silences: one claim that lands late, and one flush that is settled.
_STRAY = SearchBounds(epochs=4, silences=2)
_STRAY_TWO = SearchBounds(orders=2, epochs=4, silences=2, writes=3)

VARIANTS = (
    Variant("no fence", {"Fence": '"none"'}, ("P1", "P2", "P3", "P4")),
    Variant("state before epoch", {"LoadFirst": "TRUE"}, ("P1", "P3")),
    Variant("epoch read apart from the write", {"Fence": '"apart"'}, ("P1", "P2", "P3", "P4")),
    Variant("epochs counted in Redis", {"EpochIn": '"redis"'}, PROPERTIES),
    Variant("acknowledged before the commit", {"AckEarly": "TRUE"}, ("P3",)),
    Variant("hand-off loads before the claim", {"HandOffLoads": "TRUE"}, ("P1", "P3")),
    Variant("row version instead of epoch", {"Fence": '"version"'}, ("P2", "P4")),
    Variant("settled by reading only", {"SettleClaim": '"none"'}, ("P1", "P3", "P4")),
    Variant("settled by an unconditional claim", {"SettleClaim": '"unconditional"'}, ("P5",)),
    Variant("settled by the writer mark only", {"SettleReads": '"writer"'}, ("P4",), _STRAY),
    # P1 only: within these bounds a search costs a hundred times the others.
    Variant("memory kept over a lost claim", {"SettleKeeps": "TRUE"}, ("P1",), _STRAY_TWO, ()),
    Variant("the same, row version as well", {"SettleKeeps": "TRUE", "Fence": '"both"'}, (), _STRAY_TWO),
)

# A model in which nothing can happen keeps every property. So each of these states that something never happens.
NEVER = (
    "OneOwnerAtATime",
    "NothingAcked",
    "NothingRefused",
    "NothingSettledAsWritten",
    "NothingSettledUnderWay",
    "NoStrayClaimLands",
)


def correct_cases() -> list[Case]:
    """Searches of the protocol as it is."""
    return [Case("ours", PROPERTIES, HOLDS, bounds) for bounds in CORRECT]


def other_cases() -> list[Case]:
    """Searches that must find a trace, and searches of the properties that a wrong variant keeps."""
    reached = [Case("ours is not empty", (name,), BROKEN, SearchBounds(silences=2)) for name in NEVER]
    return [*reached, *(case for variant in VARIANTS for case in variant.cases())]


def story_cases(name: str) -> list[Case]:
    """Searches of a variant that end in a trace.

    Raises:
        KeyError: no variant has this name.
    """
    found = [v for v in VARIANTS if v.name == name]
    if not found:
        raise KeyError(name)
    return [case for case in found[0].cases() if case.expected == BROKEN]
