"""The bench's report: what was measured, and the ratios that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from loadtests.bench.cells import BenchCase, BenchMeasure
from loadtests.bench.setup import Peer
from loadtests.kit.report import Limit

# What the design promises beside its peers: (operation, ours, peer, least ratio of the rates).
PROMISES = (
    ("accept", "b", "a", 10.0),
    ("accept", "b", "e", 1.5),
    ("accept", "c", "a", 10.0),
    ("accept", "c", "e", 1.5),
    ("create", "b", "a", 4.0),
    ("read", "b", "a", 3.0),
)
# Beyond ten rivals most answers are refusals, and the promise is about winning.
RIVALS_MAX = 10


def lines(measures: Sequence[BenchMeasure], peers: Iterable[Peer]) -> list[str]:
    """The table, a block per cell, and what each peer is."""
    found = [f"({peer.letter}) {peer.title}" for peer in peers]
    head = (
        f"{'':4}{'answers/s':>11}{'won/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}"
        f"{'server us':>11}{'postgres us':>12}{'generator us':>13}{'generator %':>12}"
    )
    for cell in dict.fromkeys(measure.cell for measure in measures):
        found += ["", title(cell), head]
        found += [_line(measure) for measure in measures if measure.cell == cell]
    return found


def title(cell: BenchCase) -> str:
    """The cell in words."""
    rivals = f", {cell.rivals} drivers want each order" if cell.operation == "accept" else ""
    return f"{cell.operation}{rivals}, {cell.width} at once"


def _line(m: BenchMeasure) -> str:
    per = 1e6 / m.answered if m.answered else 0.0
    busy = 100 * m.usage.generator_s / m.took_s if m.took_s else 0.0
    return (
        f"({m.peer}) {m.per_s:>11.0f}{m.won_per_s:>9.0f}{m.p50_ms:>9.1f}{m.p99_ms:>9.1f}{m.failed:>8}"
        f"{m.usage.server_s * per:>11.0f}{m.usage.postgres_s * per:>12.0f}"
        f"{m.usage.generator_s * per:>13.0f}{busy:>12.0f}"
    )


def limits(measures: Sequence[BenchMeasure]) -> list[Limit]:
    """The promises, over every cell in which both were measured; the worst cell of each counts."""
    by = {(m.peer, m.cell): m for m in measures}
    found = []
    for operation, ours, peer, least in PROMISES:
        ratios = {}
        for (letter, cell), measure in by.items():
            other = by.get((peer, cell))
            fits = letter == ours and cell.operation == operation and cell.rivals <= RIVALS_MAX
            if fits and other is not None and other.won_per_s:
                ratios[cell] = measure.won_per_s / other.won_per_s
        if ratios:
            worst = min(ratios, key=lambda cell: ratios[cell])
            name = f"{operation}: ({ours}) against ({peer}), least ratio ({title(worst)})"
            found.append(Limit(name, round(ratios[worst], 2), at_least=least))
    return found + _patience(by)


def _patience(by: dict[tuple[str, BenchCase], BenchMeasure]) -> list[Limit]:
    """At the same width our slowest hundredth waits no longer than the simple design's."""
    found = []
    for ours in "bc":
        worse = {
            cell: measure.p99_ms / by["e", cell].p99_ms
            for (letter, cell), measure in by.items()
            if letter == ours
            and cell.operation == "accept"
            and cell.rivals <= RIVALS_MAX
            and ("e", cell) in by
        }
        if worse:
            worst = max(worse, key=lambda cell: worse[cell])
            name = f"accept: p99 of ({ours}) over (e), greatest ({title(worst)})"
            found.append(Limit(name, round(worse[worst], 2), at_most=1.0))
    return found


def ratios(measures: Sequence[BenchMeasure]) -> list[str]:
    """Every peer's rate as a share of ours, cell by cell."""
    by = {(m.peer, m.cell): m for m in measures}
    found = ["", "times the rate of each peer (won/s)"]
    for cell in dict.fromkeys(m.cell for m in measures):
        for ours in "bc":
            mine = by.get((ours, cell))
            if mine is None:
                continue
            parts = [
                f"({letter}) {mine.won_per_s / other.won_per_s:.1f}"
                for letter in "adef"
                if (other := by.get((letter, cell))) is not None and other.won_per_s
            ]
            found.append(f"  ({ours}) {title(cell):<52}{'   '.join(parts)}")
    return found


def as_json(measures: Sequence[BenchMeasure]) -> list[dict[str, Any]]:
    """For machines."""
    return [
        {
            "peer": m.peer, "operation": m.cell.operation, "rivals": m.cell.rivals, "width": m.cell.width,
            "answered": m.answered, "won": m.won, "failed": m.failed, "took_s": round(m.took_s, 3),
            "per_s": round(m.per_s, 1), "won_per_s": round(m.won_per_s, 1),
            "p50_ms": round(m.p50_ms, 2), "p99_ms": round(m.p99_ms, 2),
            "server_s": round(m.usage.server_s, 3), "postgres_s": round(m.usage.postgres_s, 3),
            "generator_s": round(m.usage.generator_s, 3),
        }
        for m in measures
    ]  # fmt: skip
