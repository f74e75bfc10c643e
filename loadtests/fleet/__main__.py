"""The command line: a scenario, its size, and one report at the end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

import uvloop

from loadtests.fleet import forward, outage, race, rolling, scale, takeover, throughput
from loadtests.fleet.instances import open_fleet
from loadtests.fleet.options import Options, read_options
from loadtests.fleet.stage import Stage, open_stage
from loadtests.swarm.stage import raise_files
from loadtests.verdict import Limit, Report

SCENARIOS: Mapping[str, Callable[[Stage], Awaitable[None]]] = {
    "takeover": takeover.run,
    "rolling": rolling.run,
    "scale": scale.run,
    "redis": outage.run,
    "forward": forward.run,
    "race": race.run,
    "throughput": throughput.run,
}


async def run(options: Options) -> Report:
    """One scenario from start to report."""
    report, own = Report(f"fleet {options.scenario}"), asyncio.current_task()
    assert own is not None
    # The servers that were started here must not outlive us.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    async with open_fleet(options.drain_s) as fleet:
        if options.scenario == "rolling":
            await fleet.supervise(options.instances or rolling.INSTANCES)
        else:
            await fleet.start(1)
        async with open_stage(options, fleet, report) as stage:
            began = perf_counter()
            await SCENARIOS[options.scenario](stage)
            report.took_s = report.took_s or perf_counter() - began
        report.facts["logged by instances"] = dict(fleet.events().most_common())
        report.limits.append(Limit("instances that had to be killed", len(await fleet.stop()), at_most=0))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when a limit was not kept."""
    options = read_options(SCENARIOS, arguments)
    raise_files()
    # A full collection in the generator would be a stall in every figure.
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
