"""Command line: parser, and the list of settings for `--help`."""

from __future__ import annotations

import argparse

from config.settings import ELSEWHERE, Settings


def _zone(text: str) -> int:
    number = text.removeprefix("zon_")
    if not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no zone id such as zon_1")
    return int(number)


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
