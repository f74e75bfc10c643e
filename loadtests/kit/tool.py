"""How every tool runs: its command line, one event loop on uvloop, the report, the exit code.

Exit codes: 0 passed, 1 a limit or a promise was broken, 2 there is nothing to report, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import field, fields
from pathlib import Path
from typing import Any, Protocol

import uvloop

FAILED, NOTHING, INTERRUPTED = 1, 2, 130


class ToolResult(Protocol):
    """What a tool ends with."""

    @property
    def passed(self) -> bool:
        """True when nothing that was promised is broken."""

    def lines(self) -> list[str]:
        """The report for people."""


class JsonResult(ToolResult, Protocol):
    """A result with a form for machines."""

    def write(self, path: Path) -> None:
        """Write it as JSON."""


def make_parser(module: str, about: str | None, *, json: bool = True) -> argparse.ArgumentParser:
    """The parser of `python -m MODULE`; `about` is its docstring, `json` adds --json."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if json:
        parser.add_argument("--json", type=Path, help="write the report there, too")
    return parser


def option(default: Any, about: str = "", kind: Callable[[str], Any] | None = None) -> Any:
    """A field of a dataclass that is an option of the command line as well; `kind` reads its text."""
    return field(default=default, metadata={"about": about, "kind": kind or type(default)})


def add_options(parser: argparse.ArgumentParser, options: type) -> None:
    """Add an option for each `option` of a dataclass: `--per-s`, for True as default `--no-limits`."""
    for item in fields(options):
        if "kind" not in item.metadata:
            continue
        kind, name, about = item.metadata["kind"], item.name.replace("_", "-"), item.metadata["about"]
        if kind is not bool:
            parser.add_argument(f"--{name}", type=kind, default=item.default, help=about)
        elif item.default:
            parser.add_argument(f"--no-{name}", dest=item.name, action="store_false", help=about)
        else:
            parser.add_argument(f"--{name}", action="store_true", help=about)


def run_tool(
    work: Coroutine[Any, Any, ToolResult],
    *,
    json: Path | None = None,
    refusals: tuple[type[Exception], ...] = (),
    name: str = "run",
) -> int:
    """Run a tool to its end, print what came of it, and return the exit code.

    Args:
        work: returns the result; it is cancelled by Ctrl-C and SIGTERM, so that what it started ends with it.
        json: where to write the result, if anywhere; it must be a JsonResult then.
        refusals: errors after which there is nothing to report.
        name: what the tool cannot do in that case, in a word.
    """
    try:
        result = uvloop.run(_stoppable(work))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        cause = innermost(error)
        if not isinstance(cause, refusals):
            raise
        print(f"cannot {name}: {type(cause).__name__} {cause}", file=sys.stderr)
        return NOTHING
    return finish(result, json)


def finish(result: ToolResult, json: Path | None = None) -> int:
    """Print a result, write it where it is wanted, and return the exit code."""
    print("\n".join(result.lines()), flush=True)
    if json is not None:
        result.write(json)  # type: ignore[attr-defined]
    return 0 if result.passed else FAILED


def innermost(error: BaseException) -> BaseException:
    """The first error inside of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _stoppable(work: Coroutine[Any, Any, ToolResult]) -> ToolResult:
    own = asyncio.current_task()
    assert own is not None
    # The servers that were started here must not outlive this process.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    return await work
