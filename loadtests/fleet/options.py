"""What the command line says."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The size of a run; 0 where the scenario has a default of its own.

    Attributes:
        instances: of takeover, forward, redis and race; the others say themselves how many.
        per_s: reads and commands of the steady load.
        limits: False leaves out the limits on time, for tests on busy machines.
    """

    scenario: str
    instances: int = 0
    kills: int = 50
    rounds: int = 0
    seconds: float = 0.0
    per_s: float = 120.0
    drivers: int = 0
    orders: int = 0
    width: int = 256
    drain_s: float = 8.0
    seed: int = 1
    limits: bool = True
    json: Path | None = None


def read_options(scenarios: Collection[str], arguments: Sequence[str] | None) -> Options:
    """What was asked for; ends the process when that makes no sense."""
    default = Options("")
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.fleet", description="Several instances as one."
    )
    parser.add_argument("scenario", choices=scenarios)
    parser.add_argument("--instances", type=int, default=0, help="so many; default: the scenario's")
    parser.add_argument("--kills", type=int, default=default.kills, help="takeover: kill -9 so many times")
    parser.add_argument(
        "--rounds", type=int, default=0, help="rolling, scale, forward, throughput: repetitions"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="redis: of an outage; throughput: a measure"
    )
    parser.add_argument("--per-s", type=float, default=default.per_s, help="steady load: calls per second")
    parser.add_argument("--drivers", type=int, default=0, help="rolling: sockets; race: rivals")
    parser.add_argument("--orders", type=int, default=0, help="race: orders")
    parser.add_argument(
        "--drain-s", type=float, default=default.drain_s, help="MALL_DRAIN_S of the instances"
    )
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--json", type=Path, help="write the report here, too")
    parser.add_argument(
        "--no-limits", dest="limits", action="store_false", help="no limits on time, for tests"
    )
    return Options(**vars(parser.parse_args(arguments)))
