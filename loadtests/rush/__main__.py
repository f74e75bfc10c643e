"""The runner: sets the mall up, has locust run a profile, and reports. Exit code 1 when a limit is broken.

`python -m loadtests.rush --profile peak`, `--page` for locust's page until Ctrl-C.

Without --url a server of its own is started in a folder that is deleted afterwards. With it, users are
minted into the database of this environment (DATABASE_URL or MALL_DATA_DIR), which must be that server's;
it must run with MALL_RATE_LIMITS=off.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from loadtests.kit.metrics import cached_share, scrape
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.server import ROOT, ServerProcess, free_port, server_at
from loadtests.kit.tool import NOTHING, make_parser, run_tool
from loadtests.rush.outcome import outcome
from loadtests.rush.plan import PLAN_VARIABLE, RESULTS_VARIABLE
from loadtests.rush.profiles import PROFILES, Profile
from loadtests.rush.results import read_results
from loadtests.rush.setup import build_plan

LOCUST = ROOT / ".venv-load" / "bin" / "locust"
# Locust may need so much longer than its profile: to start, to let users go, to write.
GRACE_S = 60.0
LEAVE_S = 15.0
# What the cache must answer where there are many users; a dozen leave seconds between two reads.
CACHED_SHARE = 0.8
CACHE_CUSTOMERS = 100


class NoResults(Exception):
    """Locust has measured nothing."""


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser("loadtests.rush", __doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--headless", action="store_true", help="the default: run once and report")
    way.add_argument("--page", action="store_true", help="serve locust's page until Ctrl-C")
    parser.add_argument("--page-port", type=int, default=8089, help="0: any free one")
    parser.add_argument("--url", help="a running server; default: one of our own")
    parser.add_argument("--users", type=_at_least(2), help="instead of the profile's")
    parser.add_argument("--seconds", type=_at_least(5), help="instead of the profile's")
    return parser.parse_args(arguments)


def _at_least(least: int) -> Callable[[str], int]:
    """An integer of the command line with a least value."""

    def integer(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return integer


def locust_line(url: str, page_port: int | None) -> list[str]:
    """How locust is called; `page_port` None: without its page."""
    link = [str(LOCUST), "-f", str(ROOT / "loadtests" / "rush" / "locustfile.py"), "--host", url]
    if page_port is None:
        return [*link, "--headless", "--only-summary", "--loglevel", "WARNING"]
    return [*link, "--web-host", "127.0.0.1", "--web-port", str(page_port)]


async def run_locust(
    server: ServerProcess, profile: Profile, folder: Path, page_port: int | None
) -> LoadReport:
    """One run of locust, or what its page does until Ctrl-C.

    Raises:
        NoTake: no run came to an end.
    """
    paths = {PLAN_VARIABLE: folder / "plan.json", RESULTS_VARIABLE: folder / "results.json"}
    (await build_plan(server, profile)).write(paths[PLAN_VARIABLE])
    environ = {**os.environ, **{name: str(path) for name, path in paths.items()}}
    with (folder / "locust.log").open("wb") as out:
        locust = await asyncio.create_subprocess_exec(
            *locust_line(server.url, page_port),
            cwd=ROOT,
            env={**environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        await _until_over(locust, None if page_port is not None else profile.seconds + GRACE_S)
    finally:
        await _leave(locust)
    try:
        return outcome(profile, read_results(paths[RESULTS_VARIABLE]))
    except FileNotFoundError:
        tail = (folder / "locust.log").read_text(errors="replace")[-3000:]
        raise NoResults(f"locust ended with {locust.returncode} and no measures:\n{tail}") from None


async def _until_over(locust: asyncio.subprocess.Process, at_most_s: float | None) -> None:
    """Until locust has ended, the time is up, or somebody wants an end."""
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, wanted.set)
    try:
        async with asyncio.timeout(at_most_s), asyncio.TaskGroup() as tasks:
            ends = [tasks.create_task(locust.wait()), tasks.create_task(wanted.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
    except TimeoutError:
        return
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _leave(locust: asyncio.subprocess.Process) -> None:
    """No locust is left behind."""
    if locust.returncode is not None:
        return
    # Without its page locust follows SIGTERM only when its shape is over; Ctrl-C it always follows.
    locust.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(LEAVE_S):
            await locust.wait()
    except TimeoutError:
        locust.kill()
        await locust.wait()


async def _play_own(
    server: ServerProcess, profile: Profile, folder: Path, page_port: int | None
) -> LoadReport:
    """A run on a server whose operators' port is known: with what its cache did."""
    async with aiohttp.ClientSession() as http:
        before = await scrape(http, server.ops_url)
        report = await run_locust(server, profile, folder, page_port)
        share = cached_share(before, await scrape(http, server.ops_url))
    if share is not None:
        report.facts["catalogue reads without a query"] = round(share, 3)
        if profile.customers >= CACHE_CUSTOMERS:
            report.limits.append(Limit("catalogue reads without a query", share, at_least=CACHED_SHARE))
    return report


async def run_rush(options: argparse.Namespace) -> LoadReport:
    """As the options say.

    Raises:
        NoTake: no run came to an end.
    """
    profile = PROFILES[options.profile].resized(options.users, options.seconds)
    page_port = None if not options.page else options.page_port or free_port()
    with tempfile.TemporaryDirectory(prefix="mall-rush-") as name:
        folder = Path(name)
        async with server_at(options.url, "rush") as server:
            shown = f"{profile.customers} customers, {profile.drivers} drivers, {profile.seconds:g} s"
            print(f"{profile.name}: {shown}, against {server.url}", flush=True)
            if page_port is not None:
                print(f"locust's page: http://127.0.0.1:{page_port}/ until Ctrl-C", flush=True)
            if options.url is not None:
                return await run_locust(server, profile, folder, page_port)
            return await _play_own(server, profile, folder, page_port)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the report; 1 when a limit is broken, 2 when there is nothing to report."""
    options = read_options(arguments)
    if not LOCUST.exists():
        print(f"{LOCUST} is missing; `make .venv-load/.ready` installs it", file=sys.stderr)
        return NOTHING
    return run_tool(run_rush(options), json=options.json, refusals=(NoResults,))


if __name__ == "__main__":
    sys.exit(main())
