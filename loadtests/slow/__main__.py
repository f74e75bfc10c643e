"""A good client's waiting time beside a thousand clients that are slow with heads, bodies and answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from loadtests.kit.report import LoadReport
from loadtests.kit.server import server_at
from loadtests.kit.tool import make_parser, run_tool
from loadtests.slow.slow_clients import MODES
from loadtests.slow.watch import watch


async def run(options: argparse.Namespace) -> LoadReport:
    """Against a server of our own."""
    async with server_at(None, "slow") as server:
        return await watch(
            server,
            sockets=options.sockets,
            mode=options.mode,
            seconds=options.seconds,
            rounds=options.rounds,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report; 1 when a limit was broken."""
    parser = make_parser("loadtests.slow", __doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--mode", choices=MODES, default="mixed")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each part of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    return run_tool(run(options), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
