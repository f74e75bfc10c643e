"""How soon somebody is told of a fault, and how soon the alert has cleared.

python -m loadtests.drill [--faults kill disk_full] [--rounds 3] [--at-once 2] [--json drill.json]
python -m loadtests.drill --write drill.json
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from loadtests.drill.drill import drill
from loadtests.drill.faults import FAULTS
from loadtests.drill.mall import can_mount
from loadtests.drill.monitoring import find_programs
from loadtests.drill.report import DrillReport, read_report
from loadtests.drill.runbooks import write_runbooks
from loadtests.kit.server import ROOT
from loadtests.kit.tool import make_parser, run_tool


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser("loadtests.drill", __doc__)
    parser.add_argument("--faults", nargs="+", choices=sorted(FAULTS), help="by default all")
    parser.add_argument("--rounds", type=int, default=3, help="of each fault")
    parser.add_argument(
        "--at-once", type=int, default=1, help="rounds under way; each takes up to ten minutes"
    )
    parser.add_argument("--keep", type=Path, help="keep logs of rounds there")
    parser.add_argument("--write", type=Path, metavar="JSON", help="write measured times into the runbooks")
    parser.add_argument("--one", action="store_true", help="the first of --faults once, in this process")
    return parser.parse_args(arguments)


async def one(options: argparse.Namespace) -> DrillReport:
    """A single round, here."""
    began, fault = perf_counter(), FAULTS[options.faults[0]]
    with tempfile.TemporaryDirectory(prefix="mall-drill-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            done = await drill(fault, folder, lambda text: print(f"{fault.name}: {text}", flush=True))
        finally:
            if options.keep is not None:
                keep_logs(folder, options.keep)
        return DrillReport([done], took_s=perf_counter() - began)


def keep_logs(folder: Path, kept: Path) -> None:
    """Copy everybody's log, so that a round can be read."""
    kept.mkdir(parents=True, exist_ok=True)
    for log in (*folder.glob("*.log"), *folder.glob("monitoring/*.log")):
        shutil.copy(log, kept / log.name)


async def run(options: argparse.Namespace) -> DrillReport:
    """All rounds, each in a process of its own; what is measured is written after each."""
    report, began = DrillReport(), perf_counter()
    names = options.faults or list(FAULTS)
    if "disk_full" in names and not can_mount():
        print("disk_full is left out: only root can make a small disk", file=sys.stderr)
        names.remove("disk_full")
    waiting = iter([(name, number) for number in range(1, options.rounds + 1) for name in names])
    with tempfile.TemporaryDirectory(prefix="mall-drills-") as folder:

        async def work() -> None:
            for name, number in waiting:
                await _round(name, number, Path(folder), options, report)
                report.took_s = perf_counter() - began
                if options.json is not None:
                    report.write(options.json)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(options.at_once):
                tasks.create_task(work())
    order = list(FAULTS)
    report.rounds.sort(key=lambda done: order.index(done.fault))
    return report


async def _round(
    name: str, number: int, folder: Path, options: argparse.Namespace, report: DrillReport
) -> None:
    """One round in a process: a server that is frozen or killed there holds up nobody here."""
    out, more = folder / f"{name}-{number}.json", []
    if options.keep is not None:
        more = ["--keep", str(options.keep / f"{name}-{number}")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.drill", "--one", "--faults", name, "--json", str(out), *more,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    told = [line for line in said.splitlines() if line.startswith(f"{name}: ")]
    print("\n".join([f"{name}, round {number}", *told]), flush=True)
    if out.exists():
        report.rounds += read_report(out).rounds
    else:
        report.failed.append(
            f"{name}, round {number}: {said.strip().splitlines()[-1] if said.strip() else ''}"
        )
        print(said, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Drill, print the table; 1 when a limit was broken."""
    options = read_options(arguments)
    if options.write is not None:
        write_runbooks(read_report(options.write))
        return 0
    if find_programs() is None:
        print(
            "needs Prometheus and Alertmanager: apt-get install prometheus prometheus-alertmanager",
            file=sys.stderr,
        )
        return 2
    return run_tool(one(options) if options.one else run(options), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
