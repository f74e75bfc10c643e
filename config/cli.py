"""Command line: parser, and the list of settings for `--help`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from config.settings import ELSEWHERE, Settings

JOBS_LISTED_MAX = 1000


def _zone(text: str) -> int:
    number = text.removeprefix("zon_")
    if not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no zone id such as zon_1")
    return int(number)


def _job(text: str) -> int:
    number = text.removeprefix("job_")
    if not number.isdecimal() or not 0 < int(number) < 1 << 53:
        raise argparse.ArgumentTypeError(f"{text!r} is no job id such as job_17")
    return int(number)


def _trace(text: str) -> str:
    found = text.strip().lower()
    if re.fullmatch("[0-9a-f]{32}", found) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no trace id: 32 hexadecimal digits")
    return found


def _order(text: str) -> int:
    number = text.removeprefix("ord_")
    if not number.isdecimal() or not 0 < int(number) < 1 << 53:
        raise argparse.ArgumentTypeError(f"{text!r} is no order id such as ord_17")
    return int(number)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= JOBS_LISTED_MAX:
        raise argparse.ArgumentTypeError(f"is a number from 1 to {JOBS_LISTED_MAX}")
    return int(text)


def _add_jobs(jobs: argparse.ArgumentParser) -> None:
    """Add the commands that look at background jobs and act on them."""
    actions = jobs.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the newest jobs that wait, run, have failed or are dead")
    listing.add_argument("--limit", type=_limit, default=50, help="how many [50]")
    shown = actions.add_parser("show", help="a job with every attempt, also one that is done")
    shown.add_argument("job", type=_job)
    retrying = actions.add_parser("retry", help="make failed jobs due now: some by id, or all that fit")
    discarding = actions.add_parser("discard", help="drop jobs: some by id, or all that fit")
    for parser in (retrying, discarding):
        parser.add_argument("job", type=_job, nargs="*")
        parser.add_argument("--yes", action="store_true", help="do not ask before all that fit are changed")
    for parser, states in (
        (listing, ("waiting", "running", "scheduled", "dead")),
        (retrying, ("scheduled", "dead")),
        (discarding, ("waiting", "scheduled", "dead")),
    ):
        parser.add_argument("--task", help="of this task")
        parser.add_argument("--state", choices=states, help="in this state")
        parser.add_argument("--key", help="of this key")
        parser.add_argument("--order", type=_order, help="about this order, such as ord_17")
        parser.add_argument("--trace", help="that follow from the request with this trace id")
    pausing = actions.add_parser("pause", help="take no job of a task from now on")
    pausing.add_argument("--reason", help="is shown to everybody who looks")
    resuming = actions.add_parser("resume", help="go on with a task")
    for parser in (pausing, resuming):
        parser.add_argument("name", help="of the task")
        parser.add_argument("--schedule", action="store_true", help="the name is that of a schedule")
    tasks = actions.add_parser("tasks", help="tasks with their jobs by state, and the age of the oldest")
    schedules = actions.add_parser("schedules", help="schedules with their next and last time")
    running = actions.add_parser("run", help="run a schedule now")
    running.add_argument("name", help="of the schedule")
    for parser in (listing, shown, tasks, schedules):
        parser.add_argument("--json", action="store_true", help="for machines")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Mall Delivery Dispatch",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings, from the environment [default]:\n" + describe(),
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="start an instance, or several")
    serving.add_argument("--instances", type=int, default=1, help="so many, behind one port")
    serving.add_argument("--workers", type=int, help="worker processes; as many as instances unless given")
    working = commands.add_parser(
        "work", help="do background jobs: needs the database, no Redis, no instance"
    )
    for name in ("public", "ops", "ready", "lifeline"):
        # File descriptors that a process passes to those that it starts.
        for parser_of in (serving, working):
            parser_of.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    commands.add_parser("migrate", help="migrate the database")
    commands.add_parser("check", help="look at what a start needs")
    verifying = commands.add_parser("verify", help="audit every invariant: 0 all hold, 1 one is broken")
    verifying.add_argument("--json", action="store_true", help="a report for machines")
    _add_jobs(commands.add_parser("jobs", help="look at background jobs; retry, discard, pause"))
    tracing = commands.add_parser("trace", help="what a request has caused: 0 something, 1 nothing is known")
    tracing.add_argument("trace", type=_trace, metavar="ID", help="the trace id of an answer or a log line")
    tracing.add_argument(
        "--logs", type=Path, nargs="+", default=[], metavar="FILE", help="JSON logs of instances and workers"
    )
    tracing.add_argument(
        "--order", type=_order, action="append", default=[], help="search its history, too, such as ord_1"
    )
    tracing.add_argument("--json", action="store_true", help="for machines")
    explaining = commands.add_parser("explain", help="why an order was offered to whom: 0, 1 no such order")
    explaining.add_argument("order", type=_order, metavar="ORDER", help="such as ord_17")
    explaining.add_argument("--json", action="store_true", help="for machines")
    explaining.add_argument(
        "--replay",
        action="store_true",
        help="make each planned decision again: 3 if an answer is another one",
    )
    commands.add_parser("restored", help="prepare a database that was restored from a backup")
    minting = commands.add_parser("mint", help="users and tokens in bulk, a JSON object a line")
    minting.add_argument("--role", choices=("customer", "driver", "admin"), required=True)
    minting.add_argument("--count", type=int, default=1)
    minting.add_argument("--prefix", default="minted", help="names and addresses begin with it")
    minting.add_argument("--zone", type=_zone, help="for drivers, such as zon_1")
    minting.add_argument("--capacity", type=int, default=1, help="for drivers: orders at once")
    minting.add_argument("--hours", type=float, default=12.0, help="how long the tokens are good")
    setting = commands.add_parser(
        "set-password", help="a new password for an account, from a terminal or a pipe"
    )
    setting.add_argument("email", help="of the account; its sessions end")
    rotating = commands.add_parser("rotate-key", help="a new signing key, for all running instances")
    rotating.add_argument("--now", action="store_true", help="the old one has leaked: its tokens die at once")
    return parser


def describe() -> str:
    """All settings as lines for `--help` and the README."""
    lines = []
    for field in Settings.model_fields.values():
        default = "" if field.default is None or field.default == () else f" [{field.default}]"
        lines.append(f"  {field.alias:<20} {field.description}{default}")
    return "\n".join([*lines, *(f"  {name:<20} {text}" for name, text in ELSEWHERE.items())])
