"""Compares this server with other designs, on the same Postgres, in one run.

Cell by cell every peer has its turn, so that whatever else the machine does hits all alike; with `--rounds` several
turns, of which the one in the middle counts. Each turn has a setup of its own, with a new database: zones, open orders
and rows that others have left would weigh on it. The generator, the server and Postgres share the machine; the report
shows what each of them used.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from loadtests.bench import table
from loadtests.bench.cells import Bench, BenchCase, BenchMeasure
from loadtests.bench.setup import Peer, all_peers, open_setup
from loadtests.kit.report import LoadReport
from loadtests.kit.tool import make_parser, run_tool

# One turn of one peer.
Turn = Callable[[Peer, BenchCase], Awaitable[BenchMeasure]]
WIDTHS = (32, 64, 256)
RIVALS = (1, 10, 100)


def cells(operations: Sequence[str], rivals: Sequence[int], widths: Sequence[int]) -> list[BenchCase]:
    """Every cell that was asked for."""
    found = []
    for operation in operations:
        for count in rivals if operation == "accept" else (1,):
            found += [BenchCase(operation, count, width) for width in widths]
    return found


async def measure_cell(turn: Turn, peers: Sequence[Peer], cell: BenchCase, rounds: int) -> list[BenchMeasure]:
    """Each peer's turn of the middle; peers that hang are left out."""
    found: dict[str, list[BenchMeasure]] = {peer.letter: [] for peer in peers}
    for number in range(rounds):
        # Who begins may have the better of it.
        for peer in peers if number % 2 == 0 else reversed(peers):
            if peer.letter == "c" and cell.operation != "accept":
                continue
            try:
                measure = await turn(peer, cell)
            except TimeoutError:
                print(f"{table.title(cell)}: ({peer.letter}) hangs", file=sys.stderr)
                continue
            found[peer.letter].append(measure)
            print(f"{table.title(cell)}: ({peer.letter}) {measure.won_per_s:.0f}/s", file=sys.stderr)
    return [middle(turns) for turns in found.values() if turns]


def middle(turns: Sequence[BenchMeasure]) -> BenchMeasure:
    """The turn that is neither one of the faster nor of the slower half."""
    return sorted(turns, key=lambda turn: turn.won_per_s)[len(turns) // 2]


@dataclass(slots=True)
class BenchReport(LoadReport):
    """The report, with a table of its own for people."""

    table: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Table, ratios, promises."""
        return [*self.table, "", *map(str, self.limits)]


async def bench(options: argparse.Namespace) -> BenchReport:
    """Measure everything."""
    measures: list[BenchMeasure] = []
    began = perf_counter()

    async def turn(peer: Peer, cell: BenchCase) -> BenchMeasure:
        with tempfile.TemporaryDirectory(prefix="mall-bench-") as folder:
            async with open_setup(Path(folder), peer.letter) as setup:
                runner = Bench(setup, options.seconds, options.profile)
                return await runner.measure(setup.peers[peer.letter], cell)

    peers = [peer for peer in all_peers() if peer.letter in options.peers]
    for cell in cells(options.operations, options.rivals, options.widths):
        measures += await measure_cell(turn, peers, cell, options.rounds)
    text = [*table.lines(measures, peers), *table.ratios(measures)]
    report = BenchReport("bench", perf_counter() - began, limits=table.limits(measures), table=text)
    report.facts["machine"] = f"{platform.machine()}, CPython {platform.python_version()}"
    report.facts["measures"] = table.as_json(measures)
    return report


def main() -> int:
    """Read the command line, measure, report; 1 when a promise is broken."""
    parser = make_parser("loadtests.bench", __doc__)
    parser.add_argument("--peers", default="abcdef", help="which of them [abcdef]")
    parser.add_argument("--operations", nargs="*", default=["create", "read", "accept"])
    parser.add_argument("--rivals", nargs="*", type=int, default=list(RIVALS))
    parser.add_argument("--widths", nargs="*", type=int, default=list(WIDTHS))
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each peer; the middle one counts")
    parser.add_argument(
        "--profile", type=Path, help="sample the server meanwhile: .svg is a flame graph, .txt folded stacks"
    )
    options = parser.parse_args()
    return run_tool(bench(options), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
