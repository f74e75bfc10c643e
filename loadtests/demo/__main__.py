"""A live mall in the terminal, and a verdict at its end.

    python -m loadtests.demo [--drivers 60] [--orders-per-min 120] [--seed 1] [--minutes N] [--plain]

Stores, customers who order and cancel, drivers who drive, decline, take breaks, lose their connection and
resume: all over the public API of a server that is started for it in a folder that is deleted afterwards.
The town runs 20 times as fast as our time. The first Ctrl-C closes the mall and gives the verdict, the
second ends at once. With --url a running server is used: users are minted into the database of this
environment (DATABASE_URL or MALL_DATA_DIR), which must be that server's; it must run with
MALL_RATE_LIMITS=off.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from loadtests.demo.plan import make_plan
from loadtests.demo.run import run_demo
from loadtests.demo.run_clock import RunClock
from loadtests.demo.screen import watch_screen
from loadtests.demo.summary import watch_plain
from loadtests.kit.report import LoadReport
from loadtests.kit.server import ServerProcess, server_at
from loadtests.kit.tool import FAILED, INTERRUPTED, make_parser, run_tool

# What a terminal, a supervisor and a closed window send.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals(clock: RunClock) -> None:
    """The first signal closes the mall, every other one breaks off this task."""
    loop, whole = asyncio.get_running_loop(), asyncio.current_task()
    assert whole is not None

    def hear() -> None:
        if clock.closing.is_set() or not clock.opened.is_set():
            whole.cancel()
        clock.closing.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, hear)


async def demo(options: argparse.Namespace) -> LoadReport:
    """As the options say: against a server that runs, or against one of our own."""
    clock = RunClock()
    stop_on_signals(clock)
    plan = make_plan(options.seed, options.drivers, options.orders_per_min)
    watch = watch_plain if options.plain or not sys.stdout.isatty() else watch_screen
    if options.url is None:
        print("a server is started, and the mall is built ...", flush=True)
    # The server must outlive the Ctrl-C that is meant for the demo: the audit asks it.
    async with server_at(options.url, "demo", own_session=True) as server:
        print(console_of(server, own=options.url is None), flush=True)
        return await run_demo(server, plan, options.minutes, clock, watch)


def console_of(server: ServerProcess, *, own: bool) -> str:
    """Where to watch it in a browser, and as whom."""
    who = f" as admin@mall.example, {server.environ['MALL_ADMIN_PASSWORD']}" if own else ""
    return f"watch it at {server.url}/console/{who}"


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser("loadtests.demo", __doc__)
    parser.add_argument("--drivers", type=int, default=60)
    parser.add_argument("--orders-per-min", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="default: until Ctrl-C")
    parser.add_argument("--url", help="a running server; default: one of our own")
    parser.add_argument(
        "--plain", action="store_true", help="a line every five seconds instead of a live view"
    )
    options = parser.parse_args(arguments)
    if options.drivers < 1 or options.orders_per_min <= 0:
        parser.error("there must be drivers and orders")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the verdict; 1 if something is wrong or it was broken off."""
    options = read_options(arguments)
    code = run_tool(demo(options), json=options.json)
    if code != INTERRUPTED:
        return code
    print("broken off: there is no verdict", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
