"""The command line: a scenario, its size, and one report at the end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

from loadtests.fleet import forward, outage, race, rolling, scale, takeover, throughput
from loadtests.fleet.instances import open_cluster
from loadtests.fleet.setup import FleetOptions, FleetSetup, open_setup, read_options
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.tool import run_tool
from loadtests.swarm.setup import raise_files

SCENARIOS: Mapping[str, Callable[[FleetSetup], Awaitable[None]]] = {
    "takeover": takeover.run,
    "rolling": rolling.run,
    "scale": scale.run,
    "redis": outage.run,
    "forward": forward.run,
    "race": race.run,
    "throughput": throughput.run,
}


async def run(options: FleetOptions) -> LoadReport:
    """One scenario from start to report."""
    report = LoadReport(f"fleet {options.scenario}", limited=options.limits)
    async with open_cluster(options.drain_s) as cluster:
        if options.scenario == "rolling":
            await cluster.supervise(options.instances or rolling.INSTANCES)
        else:
            await cluster.start(1)
        async with open_setup(options, cluster, report) as setup:
            began = perf_counter()
            await SCENARIOS[options.scenario](setup)
            report.took_s = report.took_s or perf_counter() - began
        report.facts["logged by instances"] = dict(cluster.events().most_common())
        report.limits.append(Limit("instances that had to be killed", len(await cluster.stop()), at_most=0))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when a limit was not kept."""
    options = read_options(SCENARIOS, arguments)
    raise_files()
    # A full collection in the generator would be a stall in every figure.
    gc.disable()
    return run_tool(run(options), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
