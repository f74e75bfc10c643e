"""Many instances under load and faults, and whether every promise was kept.

python -m loadtests.chaos [--minutes 20] [--instances 4] [--seed 1] [--json report.json] [--keep folder]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import uvloop

from loadtests.chaos.report import make_report, timeline
from loadtests.chaos.stage import CUSTOMERS, DRIVERS, Plan, chaos


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="how long faults are begun")
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what people do")
    parser.add_argument("--drivers", type=int, default=DRIVERS, help="in each of two zones")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="in each of two zones")
    parser.add_argument("--json", type=Path, help="write the report there, too")
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


def cause(error: BaseException) -> BaseException:
    """The one error inside of groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the report; 1 when a promise was broken."""
    options = read_options(arguments)
    plan = Plan(options.minutes, options.instances, options.seed, options.drivers, options.customers)
    kept = options.keep or Path(tempfile.gettempdir()) / f"mall-chaos-failed-seed-{options.seed}"
    began = perf_counter()

    def say(text: str) -> None:
        print(f"{perf_counter() - began:7.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="mall-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs under another account when we are root
        try:
            outcome = uvloop.run(chaos(plan, folder, say))
        except BaseException as error:  # noqa: BLE001 - also Ctrl-C; the logs are kept
            keep_logs(folder, kept)
            print(f"the logs are in {kept}", file=sys.stderr)
            raise cause(error) from None
        report = make_report(outcome)
        print("\n".join(report.lines()))
        if options.keep is not None or not report.passed:
            keep_logs(folder, kept)
            report.write(kept / "report.json")
            (kept / "timeline.txt").write_text("\n".join(timeline(outcome)) + "\n")
            print(f"logs, report and timeline are in {kept}")
    if options.json is not None:
        report.write(options.json)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
