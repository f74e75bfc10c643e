"""Compares this server with other designs, on the same Postgres, in one run.

Cell by cell every peer has its turn, so that whatever else the machine does hits all alike; with `--rounds` several
turns, of which the one in the middle counts. Each turn has a stage of its own, with a new database: zones, open orders
and rows that others have left would weigh on it. The generator, the server and Postgres share the machine; the report
shows what each of them used.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter

import uvloop

from loadtests.bench import table
from loadtests.bench.cells import Bench, Cell, Measure
from loadtests.bench.stage import Peer, all_peers, open_stage
from loadtests.verdict import Report

# One turn of one peer.
Turn = Callable[[Peer, Cell], Awaitable[Measure]]
WIDTHS = (32, 64, 256)
RIVALS = (1, 10, 100)


def cells(operations: Sequence[str], rivals: Sequence[int], widths: Sequence[int]) -> list[Cell]:
    """Every cell that was asked for."""
    found = []
    for operation in operations:
        for count in rivals if operation == "accept" else (1,):
            found += [Cell(operation, count, width) for width in widths]
    return found


async def measure_cell(turn: Turn, peers: Sequence[Peer], cell: Cell, rounds: int) -> list[Measure]:
    """Each peer's turn of the middle; peers that hang are left out."""
    found: dict[str, list[Measure]] = {peer.letter: [] for peer in peers}
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


def middle(turns: Sequence[Measure]) -> Measure:
    """The turn that is neither one of the faster nor of the slower half."""
    return sorted(turns, key=lambda turn: turn.won_per_s)[len(turns) // 2]


async def bench(options: argparse.Namespace) -> tuple[Report, list[Measure], list[str]]:
    """Measure everything."""
    measures: list[Measure] = []
    began = perf_counter()

    async def turn(peer: Peer, cell: Cell) -> Measure:
        with tempfile.TemporaryDirectory(prefix="mall-bench-") as folder:
            async with open_stage(Path(folder), peer.letter) as stage:
                runner = Bench(stage, options.seconds, options.profile)
                return await runner.measure(stage.peers[peer.letter], cell)

    peers = [peer for peer in all_peers() if peer.letter in options.peers]
    for cell in cells(options.operations, options.rivals, options.widths):
        measures += await measure_cell(turn, peers, cell, options.rounds)
    text = table.lines(measures, peers)
    report = Report("bench", perf_counter() - began, limits=table.limits(measures))
    report.facts["machine"] = f"{platform.machine()}, CPython {platform.python_version()}"
    report.facts["measures"] = table.as_json(measures)
    return report, measures, text


def main() -> int:
    """Read the command line, measure, report; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--peers", default="abcdef", help="which of them [abcdef]")
    parser.add_argument("--operations", nargs="*", default=["create", "read", "accept"])
    parser.add_argument("--rivals", nargs="*", type=int, default=list(RIVALS))
    parser.add_argument("--widths", nargs="*", type=int, default=list(WIDTHS))
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each peer; the middle one counts")
    parser.add_argument(
        "--profile", type=Path, help="sample the server meanwhile: .svg is a flame graph, .txt folded stacks"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    report, measures, text = uvloop.run(bench(options))
    if options.json is not None:
        report.write(options.json)
    print("\n".join((*text, *table.ratios(measures), "", *map(str, report.limits))))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
