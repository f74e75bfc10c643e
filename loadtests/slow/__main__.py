"""A good client's waiting time while a thousand sockets dawdle over heads, bodies and answers."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtests.server import open_server
from loadtests.slow.siege import MODES
from loadtests.slow.watch import watch
from loadtests.verdict import Report


async def run(options: argparse.Namespace) -> Report:
    """Against a server of our own."""
    with tempfile.TemporaryDirectory(prefix="mall-slow-") as folder:
        # Empty addresses: embedded servers, whatever this environment points at.
        async with open_server(Path(folder), {"DATABASE_URL": "", "REDIS_URL": ""}) as server:
            return await watch(
                server,
                sockets=options.sockets,
                mode=options.mode,
                seconds=options.seconds,
                rounds=options.rounds,
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report; 1 when a limit was broken."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.slow", description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--mode", choices=MODES, default="mixed")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each part of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the report here, too")
    options = parser.parse_args(arguments)
    report = asyncio.run(run(options))
    print("\n".join(report.lines()))
    if options.json is not None:
        report.write(options.json)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
