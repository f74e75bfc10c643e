"""`python -m tests.simulation --seeds 1000 [--from 0]`, or `--seed N` for one."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.checks import Violation
from tests.simulation.run import run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--tell", action="store_true", help="print what happens; for one seed")
    options = parser.parse_args()
    seeds = (
        [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    )
    began, orders, simulated, failed = time.monotonic(), 0, 0.0, []
    for seed in seeds:
        try:
            result = run_seed(seed, tell=options.tell)
        except Violation as error:
            failed.append(seed)
            print(f"FAILED {error}\n  again: python -m tests.simulation --seed {seed}", flush=True)
            continue
        orders, simulated = orders + result.orders, simulated + result.simulated_s
        if options.seed is not None:
            print(result)
    spent = time.monotonic() - began
    print(
        f"{len(seeds)} seeds, {len(failed)} failed, {orders} orders, {simulated:.0f} s simulated in {spent:.0f} s"
    )
    return 1 if failed else 0


sys.exit(main())
