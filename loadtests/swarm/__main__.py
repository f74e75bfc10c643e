"""The command line: a scenario, its size, and one report at the end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import uvloop

from loadtests.swarm import deaf, idle, offers, storm, users
from loadtests.swarm.stage import Options, Stage, open_stage, raise_files
from loadtests.verdict import Limit, Report

SCENARIOS: Mapping[str, Callable[[Stage, Report], Awaitable[None]]] = {
    "idle": idle.run,
    "offers": offers.run,
    "storm": storm.run,
    "users": users.run,
    "deaf": deaf.run,
}
# Files of this process and the server that are no sockets of the swarm.
FILES_BESIDE = 500


def read_options(arguments: Sequence[str] | None) -> Options:
    """What was asked for."""
    default = Options("")
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.swarm", description="Loads of ten thousand sockets, from one process."
    )
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--sockets", type=int, default=default.sockets, help="drivers' sockets")
    parser.add_argument("--users", type=int, default=default.users, help="users: drivers and customers")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="how long, after the ramp")
    parser.add_argument("--orders-per-s", type=float, default=default.orders_per_s, help="offers: orders")
    parser.add_argument("--spread-s", type=float, default=default.spread_s, help="storm, users: ramp")
    parser.add_argument("--missed", type=float, default=0.0, help="storm: share that missed entries")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="deaf: alternations")
    parser.add_argument("--factor", type=float, default=1.0, help="users: so many times as busy")
    parser.add_argument("--url", help="a running server; default: one of our own")
    parser.add_argument("--ops-url", help="its operators' port, with --url")
    parser.add_argument("--pid", type=int, help="its process on this machine, with --url: memory and CPU")
    parser.add_argument("--json", type=Path, help="write the report here, too")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument(
        "--no-limits", dest="limits", action="store_false", help="no limits on time and memory, for tests"
    )
    found = parser.parse_args(arguments)
    if found.url is not None and found.ops_url is None:
        parser.error("--url needs --ops-url: some limits are about what the server counts itself")
    return Options(**vars(found))


async def run(options: Options) -> Report:
    """One scenario from start to report."""
    report, own = Report(f"swarm {options.scenario}"), asyncio.current_task()
    assert own is not None
    # The server that was started here must not outlive us.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    async with open_stage(options) as stage, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(stage.meter.watch())
        try:
            began = perf_counter()
            await SCENARIOS[options.scenario](stage, report)
        finally:
            watching.cancel()
        report.took_s = report.took_s or perf_counter() - began
    report.limits.append(Limit("errors", report.errors, at_most=0))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when a limit was not kept."""
    options = read_options(arguments)
    files, wanted = raise_files(), max(options.sockets, options.users) + FILES_BESIDE
    if files < wanted:
        print(f"{wanted} open files are needed, {files} are allowed (ulimit -Hn)", file=sys.stderr)
        return 2
    # A full collection over ten thousand lines stops the generator for half a second; a run is too short to
    # need one.
    gc.disable()
    try:
        report = uvloop.run(run(options))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    print("\n".join(report.lines()))
    if options.json is not None:
        report.write(options.json)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
