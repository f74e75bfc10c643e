"""The faults, and a seeded plan of them: pure data, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

KILL, FREEZE, RESTART, KILL_ALL, SCALE = "kill", "freeze", "graceful restart", "kill all", "scale down and up"
FLUSH, REDIS_RESTART, REDIS_FREEZE = "empty Redis", "Redis killed", "Redis frozen"
POSTGRES_RESTART, POSTGRES_FREEZE = "Postgres stopped", "Postgres frozen"
CUT_REDIS, CUT_POSTGRES, CUT_PEERS = "cut from Redis", "cut from Postgres", "cut from peers"
ROLLING = "rolling restart"
STORE_FAULTS = (FLUSH, REDIS_RESTART, REDIS_FREEZE, POSTGRES_RESTART, POSTGRES_FREEZE)

BLACK_HOLE, RESET = "black hole", "reset"
# What is sent waits, and answers pass: so that the next write after those under way is on its way.
HELD_BACK = "held back"

# A frozen instance comes back before anybody noticed, just before and after its leases have ended (4 s), and
# long after that.
FREEZES_S = (1.0, 3.0, 6.0, 12.0)
CUTS = (CUT_REDIS, CUT_POSTGRES, CUT_PEERS)
# Share of faults during which the next one begins already, and how long after.
OVERLAP, OVERLAP_S = 0.2, (0.3, 2.0)
# Between the end of a fault and the next: long enough to see the service come back.
QUIET_S = (2.0, 6.0)
# How many instances stay when the cluster is scaled down.
SMALLEST = 2


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault.

    Attributes:
        victims: numbers of the instances it hits, from 0; none for Redis and Postgres.
        length_s: how long it lasts; for one that kills, until the start.
        mode: how a cut line behaves: BLACK_HOLE or RESET.
        overlaps: the next fault begins `gap_s` after this one has begun; else after it has ended.
    """

    kind: str
    victims: tuple[int, ...] = ()
    length_s: float = 0.0
    mode: str = ""
    gap_s: float = 3.0
    overlaps: bool = False

    @property
    def name(self) -> str:
        """The kind; of freezes also the length, which makes all the difference."""
        return f"{FREEZE} {self.length_s:g} s" if self.kind == FREEZE else self.kind

    @property
    def needs(self) -> frozenset[str]:
        """What no other fault may touch meanwhile."""
        found = {f"instance {number}" for number in self.victims}
        if self.kind in (FLUSH, REDIS_RESTART, REDIS_FREEZE):
            found.add("Redis")
        if self.kind in (POSTGRES_RESTART, POSTGRES_FREEZE):
            found.add("Postgres")
        return frozenset(found)

    def __str__(self) -> str:
        hits = f" of {', '.join(str(number + 1) for number in self.victims)}" if self.victims else ""
        how = f", {self.mode}" if self.mode else ""
        return f"{self.name}{hits}{how}, {self.length_s:.1f} s"


def draw_faults(seed: int, instances: int) -> Iterator[PlannedFault]:
    """Faults without end. They come in decks that hold every kind, so that none is forgotten for long."""
    chance = random.Random(f"{seed}/chaos")
    before_overlaps = False
    while True:
        deck = _deck(instances)
        chance.shuffle(deck)
        for kind, length_s in deck:
            fault = _fault(chance, kind, length_s, instances, may_overlap=not before_overlaps)
            before_overlaps = fault.overlaps
            yield fault


def _deck(instances: int) -> list[tuple[str, tuple[float, float]]]:
    """Every kind, with the bounds of its length in seconds."""
    deck = [
        (KILL, (0.2, 6.0)), (KILL, (0.2, 6.0)), (RESTART, (0.0, 0.5)), (KILL_ALL, (0.2, 2.0)),
        (FLUSH, (0.0, 0.0)), (REDIS_RESTART, (0.0, 3.0)), (REDIS_FREEZE, (2.0, 8.0)),
        (POSTGRES_RESTART, (0.0, 2.0)), (POSTGRES_FREEZE, (1.0, 5.0)),
        *((FREEZE, (length_s, length_s)) for length_s in FREEZES_S),
        *((kind, (2.0, 10.0)) for kind in CUTS),
    ]  # fmt: skip
    if instances > SMALLEST:
        deck.append((SCALE, (3.0, 6.0)))
    return deck


def _fault(
    chance: random.Random, kind: str, length_s: tuple[float, float], instances: int, *, may_overlap: bool
) -> PlannedFault:
    everybody = list(range(instances))
    if kind == KILL_ALL:
        victims = tuple(everybody)
    elif kind == SCALE:
        victims = tuple(sorted(chance.sample(everybody, instances - SMALLEST)))
    elif kind in (KILL, FREEZE, RESTART, *CUTS):
        victims = (chance.choice(everybody),)
    else:
        victims = ()
    mode = chance.choice((BLACK_HOLE, RESET)) if kind in CUTS else ""
    overlaps = may_overlap and chance.random() < OVERLAP
    gap_s = chance.uniform(*(OVERLAP_S if overlaps else QUIET_S))
    return PlannedFault(kind, victims, round(chance.uniform(*length_s), 2), mode, round(gap_s, 2), overlaps)
