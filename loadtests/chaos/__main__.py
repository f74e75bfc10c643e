"""Many instances under load and faults, and whether every promise was kept.

python -m loadtests.chaos [--minutes 20] [--instances 4] [--seed 1] [--json report.json] [--keep folder]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from time import perf_counter

from loadtests.chaos.report import make_report, timeline
from loadtests.chaos.run import ChaosPlan, chaos
from loadtests.kit.report import LoadReport
from loadtests.kit.tool import add_options, make_parser, run_tool


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser("loadtests.chaos", __doc__)
    add_options(parser, ChaosPlan)
    parser.add_argument("--keep", type=Path, help="keep the logs there, also when all is well")
    options = parser.parse_args(arguments)
    if options.instances < 2:
        parser.error("a cluster has at least two instances")
    return options


def keep_logs(folder: Path, kept: Path) -> None:
    """Copy everybody's log, so that a failed run can be read."""
    shutil.rmtree(kept, ignore_errors=True)
    for log in folder.glob("*/*.log"):
        place = kept / log.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, place / log.name)


async def run(options: argparse.Namespace) -> LoadReport:
    """One run; of a failed one the logs are kept in any case."""
    names = {item.name for item in fields(ChaosPlan)}
    plan = ChaosPlan(**{name: value for name, value in vars(options).items() if name in names})
    kept = options.keep or Path(tempfile.gettempdir()) / f"mall-chaos-failed-seed-{options.seed}"
    began = perf_counter()

    def say(text: str) -> None:
        print(f"{perf_counter() - began:7.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="mall-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            outcome = await chaos(plan, folder, say)
        except BaseException:
            keep_logs(folder, kept)
            print(f"the logs are in {kept}", file=sys.stderr)
            raise
        report = make_report(outcome)
        if options.keep is not None or not report.passed:
            keep_logs(folder, kept)
            report.write(kept / "report.json")
            (kept / "timeline.txt").write_text("\n".join(timeline(outcome)) + "\n")
            print(f"logs, report and timeline are in {kept}", flush=True)
        return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the report; 1 when a promise was broken."""
    options = read_options(arguments)
    return run_tool(run(options), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
