"""What a change has cost: this version of the server and another one, in pairs of short measurements.

`python -m loadtests.bench.pairs --tree DIR`, where DIR is a worktree of the other version. The speed of a shared
machine varies by a fifth from minute to minute, and two runs one after the other tell that and nothing else; so
both servers run all the time, each on a Postgres of its own, and take turns of seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from statistics import median

import orjson
import uvloop

from loadtests.bench.cells import Bench, BenchCase
from loadtests.bench.setup import open_setup
from loadtests.kit.report import Limit
from loadtests.kit.tool import make_parser, run_tool

HERE = Path(__file__).resolve().parents[2]
# Two servers and two Postgres start beside each other.
START_S = 120.0
# The median of sixteen pairs of the same version stays within it.
COST_MAX = 1.05


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What came out of one: successes a second, processor time per answer in microseconds."""

    per_s: float
    server_us: float
    postgres_us: float
    generator_us: float


def _times(first: float, second: float) -> float:
    """The second over the first; a read takes nothing of Postgres, and twice nothing is no more."""
    if not first:
        return inf if second else 1.0
    return second / first


def compare(others: Sequence[TurnResult], ours: Sequence[TurnResult]) -> dict[str, float]:
    """For every number the median of ours over theirs, pair by pair."""
    names = TurnResult.__dataclass_fields__
    return {
        name: median(_times(getattr(a, name), getattr(b, name)) for a, b in zip(others, ours, strict=True))
        for name in names
    }


# -- one version: the process that measures it ------------------------------------------------------------


async def take_turns(peer: str, cell: BenchCase, seconds: float) -> None:
    """Measure once for each line that comes in, until there are no more."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="mall-pairs-") as folder:
        async with open_setup(Path(folder), "b") as setup:
            bench = Bench(setup, seconds)
            print("ready", flush=True)
            while (await loop.run_in_executor(None, sys.stdin.readline)).strip():
                measure = await bench.measure(setup.peers[peer], cell)
                us = 1e6 / max(1, measure.answered)
                used = measure.usage
                turn = TurnResult(
                    measure.won_per_s, used.server_s * us, used.postgres_s * us, used.generator_s * us
                )
                print(orjson.dumps(asdict(turn)).decode(), flush=True)


# -- both -------------------------------------------------------------------------------------------------


class MeasuredVersion:
    """A version of the server, measured by the tools of its own tree."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def _line(self, wait_s: float) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(wait_s):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a version has ended; see above")
        return line

    async def ready(self) -> None:
        """Its server runs."""
        await self._line(START_S)

    async def turn(self, seconds: float) -> TurnResult:
        """One measurement. What it needs is made before: orders, drivers, requests."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        return TurnResult(**orjson.loads(await self._line(START_S + seconds)))


def _known(tree: Path) -> dict[str, str]:
    """This environment without settings that the version refuses, because it does not know them."""
    text = (tree / "config" / "settings.py").read_text()
    return {k: v for k, v in os.environ.items() if not k.startswith("MALL_") or k in text}


@asynccontextmanager
async def open_version(tree: Path, options: argparse.Namespace) -> AsyncIterator[MeasuredVersion]:
    """A process that measures the version in a tree, with the tools of that tree."""
    peer = "c" if options.feed else "b"
    cell = [peer, options.operation, str(options.rivals), str(options.width), str(options.seconds)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "loadtests.bench.pairs", "--turns", *cell,
        cwd=tree, env={**_known(tree), "PYTHONPATH": str(tree)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield MeasuredVersion(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@dataclass(frozen=True, slots=True)
class PairsReport:
    """The turns of the other version and of this one."""

    options: argparse.Namespace
    others: Sequence[TurnResult]
    ours: Sequence[TurnResult]

    @property
    def limit(self) -> Limit:
        return Limit("the server's time", compare(self.others, self.ours)["server_us"], at_most=COST_MAX)

    @property
    def passed(self) -> bool:
        return self.limit.kept

    def lines(self) -> list[str]:
        """A line a number: theirs, ours, the ratio."""
        asked = self.options
        found = [f"{asked.operation}, {asked.rivals} rivals, {asked.width} at once, {asked.pairs} pairs"]
        for name, ratio in compare(self.others, self.ours).items():
            first, second = (median(getattr(x, name) for x in turns) for turns in (self.others, self.ours))
            found.append(f"{name:14}{first:10.1f}{second:10.1f}   {ratio:.3f} times, median of pairs")
        return [*found, str(self.limit)]


async def run(options: argparse.Namespace) -> PairsReport:
    """Measure both in turn."""
    async with AsyncExitStack() as stack:
        versions = [
            await stack.enter_async_context(open_version(tree, options)) for tree in (options.tree, HERE)
        ]
        for version in versions:
            await version.ready()
        turns: tuple[list[TurnResult], list[TurnResult]] = ([], [])
        for number in range(options.pairs):
            # Who begins may have the better of it.
            for which in (0, 1) if number % 2 else (1, 0):
                turns[which].append(await versions[which].turn(options.seconds))
            pair = ", ".join(f"{rows[-1].per_s:.0f}/s {rows[-1].server_us:.0f} us" for rows in turns)
            print(f"pair {number + 1}: {pair}", file=sys.stderr)
        return PairsReport(options, *turns)


def main() -> int:
    """Read the command line, measure, report; 1 when this version's server takes more."""
    if sys.argv[1:2] == ["--turns"]:
        peer, operation, rivals, width, seconds = sys.argv[2:]
        uvloop.run(take_turns(peer, BenchCase(operation, int(rivals), int(width)), float(seconds)))
        return 0
    parser = make_parser("loadtests.bench.pairs", __doc__, json=False)
    parser.add_argument("--tree", type=Path, required=True, help="a worktree of the other version")
    parser.add_argument("--operation", choices=("accept", "create", "read"), default="accept")
    parser.add_argument("--feed", action="store_true", help="acceptances over the feed, not over REST")
    parser.add_argument("--rivals", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--pairs", type=int, default=16)
    options = parser.parse_args()
    return run_tool(run(options))


if __name__ == "__main__":
    sys.exit(main())
