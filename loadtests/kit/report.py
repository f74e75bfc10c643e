"""How a load test ends: what was measured, against which limits, and whether that will do.

The same report for every tool: a table for people, JSON for machines, and an exit code.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

QUANTILES = (0.5, 0.95, 0.99)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of ascending values; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, int(share * len(ordered) + 0.999999) - 1))]


@dataclass(slots=True)
class Tally:
    """One kind of operation: every duration in seconds, and what went wrong by name."""

    seconds: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.errors.total()

    def ms(self) -> dict[str, float]:
        """Quantiles and maximum in milliseconds."""
        ordered = sorted(self.seconds)
        found = {f"p{share * 100:g}": quantile(ordered, share) * 1000 for share in QUANTILES}
        return {
            name: round(value, 2) for name, value in (*found.items(), ("max", quantile(ordered, 1) * 1000))
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """A statement that a number keeps: `value` is what was measured, `at_most` (or `at_least`) the limit."""

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def kept(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def __str__(self) -> str:
        wanted = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{'pass' if self.kept else 'FAIL'}  {self.name}: {self.value:.6g} ({wanted})"


@dataclass(slots=True)
class LoadReport:
    """What a run has found. `limited` False leaves out limits on time and memory, for tests on busy machines."""

    title: str
    took_s: float = 0.0
    tallies: dict[str, Tally] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    limited: bool = True

    def limit(self, limit: Limit, *, timing: bool = True) -> None:
        """Hold the run to a limit; `timing`: on time or memory."""
        if self.limited or not timing:
            self.limits.append(limit)

    def tally(self, name: str) -> Tally:
        """The tally of that name, made when missing."""
        return self.tallies.setdefault(name, Tally())

    def done(self, name: str, seconds: float) -> None:
        """An operation has succeeded."""
        self.tally(name).seconds.append(seconds)

    def failed(self, name: str, why: str) -> None:
        """An operation has not."""
        self.tally(name).errors[why] += 1

    @property
    def errors(self) -> int:
        return sum(tally.failed for tally in self.tallies.values())

    @property
    def passed(self) -> bool:
        return all(limit.kept for limit in self.limits)

    def ms(self, names: Iterable[str], share: float) -> float:
        """A quantile in milliseconds over several kinds of operation together."""
        merged = array("d")
        for name in names:
            if name in self.tallies:
                merged.extend(self.tallies[name].seconds)
        return quantile(sorted(merged), share) * 1000

    def as_json(self) -> dict[str, Any]:
        """For machines: everything, with the verdict."""
        return {
            "title": self.title,
            "took_s": round(self.took_s, 3),
            "passed": self.passed,
            "operations": {
                name: {
                    "count": len(tally.seconds),
                    "per_s": round(len(tally.seconds) / self.took_s, 2) if self.took_s else None,
                    "ms": tally.ms(),
                    "errors": dict(tally.errors),
                }
                for name, tally in self.tallies.items()
            },
            "facts": self.facts,
            "limits": [asdict(limit) | {"kept": limit.kept} for limit in self.limits],
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.title}, {self.took_s:.1f} s", ""]
        lines.append(
            f"{'operation':<24}{'count':>9}{'per s':>9}{'p50 ms':>9}{'p95':>9}{'p99':>9}{'max':>9}{'errors':>8}"
        )
        for name, tally in sorted(self.tallies.items()):
            ms, rate = tally.ms(), len(tally.seconds) / self.took_s if self.took_s else 0.0
            lines.append(
                f"{name:<24}{len(tally.seconds):>9}{rate:>9.1f}{ms['p50']:>9.1f}{ms['p95']:>9.1f}"
                f"{ms['p99']:>9.1f}{ms['max']:>9.1f}{tally.failed:>8}"
            )
            lines += [f"    {count} x {why}" for why, count in tally.errors.most_common(5)]
        lines += ["", *(f"{name}: {value}" for name, value in self.facts.items())]
        lines += ["", *(str(limit) for limit in self.limits)]
        return [*lines, "", "passed" if self.passed else "FAILED"]

    def write(self, path: Path) -> None:
        """The JSON form, as a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
