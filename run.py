"""Program: its commands. Each is imported when it is asked for, so that none waits for what only another one needs.

serve    start an instance and its worker (with embedded servers where no addresses are given)
work     do background jobs only
migrate  migrate the database to this version's schema
mint     create users with tokens in bulk, for load tests
check    check everything that a start needs, without changes; exit code 1 if a start would fail
rotate-key  create a new signing key
set-password  set an account's password
jobs     look at background jobs; retry, discard, pause
trace    print the story of a trace id, from the database and from logs
explain  say in sentences why an order was offered to whom
verify   audit all invariants of the database; exit code 1 if one is broken
restored prepare a database that was restored from a backup
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from actors.errors import JournalError
from config.cli import make_parser
from config.errors import CannotStart
from config.logs import say_failure
from config.settings import Settings, SettingsError, load_settings
from storage.errors import StorageError

PROGRAM = Path(__file__).resolve()


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from api.server.serve_command import command_serve

    return command_serve(settings, options, PROGRAM)


def _work(settings: Settings, options: argparse.Namespace) -> int:
    from api.work.work_command import command_work

    return command_work(settings, options)


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    from api.operator.database_commands import command_migrate

    return command_migrate(settings, print)


def _mint(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.database_commands import command_mint

    return command_mint(settings, options, print)


def _check(settings: Settings, _: argparse.Namespace) -> int:
    from api.operator.preflight import command_check

    return command_check(settings, print)


def _rotate_key(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.rotate_key import command_rotate_key

    return command_rotate_key(settings, options, print)


def _set_password(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.reset_password import command_set_password

    return command_set_password(settings, options, print)


def _jobs(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.jobs import command_jobs

    return command_jobs(settings, options, print)


def _trace(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.trace import command_trace

    return command_trace(settings, options, print)


def _explain(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.explain import command_explain

    return command_explain(settings, options, print)


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    from api.operator.database_commands import command_verify

    return command_verify(settings, options, print)


def _restored(settings: Settings, _: argparse.Namespace) -> int:
    from api.operator.database_commands import command_restored

    return command_restored(settings, print)


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "serve": _serve, "work": _work, "migrate": _migrate, "mint": _mint, "check": _check, "rotate-key": _rotate_key,
    "set-password": _set_password, "jobs": _jobs, "trace": _trace, "explain": _explain, "verify": _verify,
    "restored": _restored,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Each expected failure is one line, not a stack trace."""
    options = make_parser().parse_args(arguments)
    wrong = 1 if options.command == "check" else 2
    try:
        founds = options.command in ("serve", "check") and getattr(options, "lifeline", None) is None
        code = COMMANDS[options.command](load_settings(founds=founds), options)
        sys.stdout.flush()
        return code
    except SettingsError as error:
        say_failure(options.command, f"The settings are wrong:\n{error}")
        return wrong
    except CannotStart as error:
        say_failure(options.command, f"Cannot start: {error}")
    except BrokenPipeError:
        # Whoever reads the output has had enough, as `head` has. What is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (StorageError, JournalError, TimeoutError, OSError) as error:
        say_failure(options.command, f"Cannot reach the database: {type(error).__name__} {error}")
    except KeyboardInterrupt:
        return 0
    return 2


if __name__ == "__main__":
    sys.exit(main())
