"""What the runtime counts. Plain integers: a scrape reads them, no turn pays for a metric library."""

from __future__ import annotations

from collections import Counter, deque


class Gauges:
    """Counters since start and the last few durations; read by `/metrics` and `/status`.

    The deques keep the newest 4,096 samples: enough for a p99 of the last seconds under load, and
    bounded.
    """

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()
        self.activations: Counter[str] = Counter()
        self.passivations: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.replays = 0
        self.outcomes: Counter[str] = Counter()
        self.flushes = 0
        self.flushed_items = 0
        self.settled: Counter[str] = Counter()
        self.timers_fired = 0
        self.lost_shards = 0
        self.stale_answers = 0
        self.flush_s: deque[float] = deque(maxlen=4096)
        self.flush_items: deque[int] = deque(maxlen=4096)
        self.gate_wait_s: deque[float] = deque(maxlen=4096)
        self.timer_late_s: deque[float] = deque(maxlen=4096)
        self.slice_s_max = 0.0
