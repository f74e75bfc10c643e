"""The command line: a scenario, its size, and one report at the end."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.tool import add_options, make_parser, run_tool
from loadtests.swarm import deaf, idle, offers, storm, users
from loadtests.swarm.setup import SwarmOptions, SwarmSetup, open_setup, raise_files

SCENARIOS: Mapping[str, Callable[[SwarmSetup, LoadReport], Awaitable[None]]] = {
    "idle": idle.run,
    "offers": offers.run,
    "storm": storm.run,
    "users": users.run,
    "deaf": deaf.run,
}
# Files of this process and the server that are no sockets of the swarm.
FILES_BESIDE = 500


def read_options(arguments: Sequence[str] | None) -> SwarmOptions:
    """What was asked for."""
    parser = make_parser("loadtests.swarm", "Loads of ten thousand sockets, from one process.")
    parser.add_argument("scenario", choices=SCENARIOS)
    add_options(parser, SwarmOptions)
    found = parser.parse_args(arguments)
    if found.url is not None and found.ops_url is None:
        parser.error("--url needs --ops-url: some limits are about what the server counts itself")
    return SwarmOptions(**vars(found))


async def run(options: SwarmOptions) -> LoadReport:
    """One scenario from start to report."""
    report = LoadReport(f"swarm {options.scenario}", limited=options.limits)
    async with open_setup(options) as setup, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(setup.meter.watch())
        try:
            began = perf_counter()
            await SCENARIOS[options.scenario](setup, report)
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
    return run_tool(run(options), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
