"""The file that locust hands back: every duration, every error, every count. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from loadtests.kit.report import LoadReport, Tally


@dataclass(slots=True)
class RunResults:
    """Raw measures of one run.

    Attributes:
        report: durations and errors by operation: "GET /stores", "WS offer.accept".
        counts: what happened, by name.
        sold: units in orders that were confirmed to a customer, by product.
        asked: units in orders whose outcome no customer has learnt, by product.
        had, left: what the server says is there at the start and at the end, by product.
        faults: what was wrong with a driver's feed.
        lags: how late the generator was, in seconds.
    """

    report: LoadReport = field(default_factory=lambda: LoadReport("raw"))
    counts: Counter[str] = field(default_factory=Counter)
    sold: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    had: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lags: array[float] = field(default_factory=lambda: array("d"))

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        raw = {
            "took_s": self.report.took_s,
            "operations": {
                name: {"seconds": list(tally.seconds), "errors": dict(tally.errors)}
                for name, tally in self.report.tallies.items()
            },
            "counts": dict(self.counts),
            "sold": dict(self.sold),
            "asked": dict(+self.asked),
            "had": self.had,
            "left": self.left,
            "faults": self.faults,
            "lags": list(self.lags),
        }
        user = path.with_suffix(".part")
        user.write_bytes(orjson.dumps(raw))
        user.replace(path)


def read_results(path: Path) -> RunResults:
    """The measures as they were written.

    Raises:
        OSError: there are none; locust has not come so far.
    """
    raw = orjson.loads(path.read_bytes())
    report = LoadReport("raw", took_s=raw["took_s"])
    for name, tally in raw["operations"].items():
        report.tallies[name] = Tally(array("d", tally["seconds"]), Counter(tally["errors"]))
    return RunResults(
        report,
        Counter(raw["counts"]),
        Counter(raw["sold"]),
        Counter(raw["asked"]),
        raw["had"],
        raw["left"],
        raw["faults"],
        array("d", raw["lags"]),
    )
