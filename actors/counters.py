"""Counters of the runtime: plain integers that a scrape reads, so that no turn calls a metrics library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Sequence

# Upper bounds of the buckets of durations.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# Enough samples for the p99 of the last seconds under load.
NEWEST = 4096

# What is counted by a word. Every word stands in the exposition from the start, so a first event is an increase.
ACTIVATIONS = ("created", "loaded", "settled")
PASSIVATIONS = ("idle", "cap")
REFUSALS = (
    "Overloaded",
    "DeadlinePassed",
    "Unavailable",
    "WrongOwner",
    "NoSuchActor",
    "CommandReused",
    "OutcomeUnknown",
    "ActorCrashed",
)
# Codes of outcomes but those of guards, which are the domain's; and an item that the journal refuses.
FLUSHED = ("ok", "stale", "version", "poison")
SETTLED = ("written", "not_written")


class Samples:
    """Durations or sizes: their number, their sum, how many are in each bucket, and the newest ones.

    Args:
        bounds: upper bounds of the buckets, rising. There is one more bucket above them.
    """

    __slots__ = ("bounds", "buckets", "count", "newest", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0
        self.newest: deque[float] = deque(maxlen=NEWEST)

    def add(self, sample: float) -> None:
        self.buckets[bisect_left(self.bounds, sample)] += 1
        self.count += 1
        self.total += sample
        self.newest.append(sample)


class Counters:
    """Counters since the start, and the newest durations. `/metrics` and `/status` read them."""

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()
        self.activations = _at_zero(ACTIVATIONS)
        self.passivations = _at_zero(PASSIVATIONS)
        self.crashes: Counter[str] = Counter()
        self.refusals = _at_zero(REFUSALS)
        self.replays = 0
        self.outcomes = _at_zero(FLUSHED)
        self.flushes = 0
        self.flushed_items = 0
        self.settled = _at_zero(SETTLED)
        self.timers_fired = 0
        self.lost_shards = 0
        self.stale_answers = 0
        self.flush_s = Samples()
        self.flush_items = Samples(SIZES)
        self.gate_wait_s = Samples()
        self.timer_late_s = Samples()
        self.lock_waits = 0
        self.clock_steps = 0
        self.slice_s_max = 0.0


def _at_zero(words: Iterable[str]) -> Counter[str]:
    return Counter(dict.fromkeys(words, 0))
