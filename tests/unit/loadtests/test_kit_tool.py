"""How a tool ends: what it prints and writes, its exit code, and the options that a dataclass declares."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.tool import add_options, make_parser, option, run_tool


@dataclass(frozen=True)
class Options:
    """With an option of every kind."""

    scenario: str
    per_s: float = option(2.5, "calls")
    url: str | None = option(None, "a server", str)
    quiet: bool = option(False)
    limits: bool = option(True)
    inner: int = 7


def options(*arguments: str) -> Options:
    parser = make_parser("loadtests.some", "A tool.", json=False)
    parser.add_argument("scenario")
    add_options(parser, Options)
    return Options(**vars(parser.parse_args(arguments)))


async def reported(most: float) -> LoadReport:
    return LoadReport("some", limits=[Limit("x", 1.0, at_most=most)])


def test_option_that_is_not_given_has_the_default_of_its_field() -> None:
    assert options("idle") == Options("idle", 2.5, None, False, True, 7)


def test_option_is_read_by_its_kind() -> None:
    found = options("idle", "--per-s", "3", "--url", "http://x", "--quiet", "--no-limits")
    assert found == Options("idle", 3.0, "http://x", True, False, 7)


def test_field_that_is_no_option_cannot_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("idle", "--inner", "8")
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(("most", "code", "last"), [(1.0, 0, "passed"), (0.5, 1, "FAILED")])
def test_report_is_printed_and_written_and_decides_the_exit_code(
    most: float, code: int, last: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out" / "report.json"
    assert run_tool(reported(most), json=path) == code
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert json.loads(path.read_text())["passed"] is (code == 0)


def test_error_that_was_announced_ends_without_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse() -> LoadReport:
        async with asyncio.TaskGroup():
            raise ValueError("no such day")

    assert run_tool(refuse(), refusals=(ValueError,), name="replay") == 2
    assert capsys.readouterr() == ("", "cannot replay: ValueError no such day\n")


def test_error_that_was_not_announced_is_raised() -> None:
    async def fail() -> LoadReport:
        raise KeyError("a mistake of the tool")

    with pytest.raises(KeyError):
        run_tool(fail(), refusals=(ValueError,))


ROOT = Path(__file__).resolve().parents[3]
# A process of its own: what a signal does to one that has had other event loops is not what is asked.
_TOOL = """
import asyncio, signal, sys
from loadtests.kit.tool import run_tool

# A shell that has started the tests in the background has told its children to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def wait():
    try:
        print("open", flush=True)
        await asyncio.Event().wait()
    finally:
        print("closed", flush=True)

sys.exit(run_tool(wait()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_what_the_tool_has_opened(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _TOOL], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout is not None
        assert tool.stdout.readline() == "open\n"
        tool.send_signal(number)
        assert tool.communicate(timeout=60)[0] == "closed\n"
    assert tool.returncode == 130


def test_description_is_shown_as_it_is_written() -> None:
    parser = make_parser("loadtests.some", "First.\n\n    python -m x [--y]\n")
    assert "\n    python -m x [--y]\n" in parser.format_help()
    assert parser.parse_args([]) == argparse.Namespace(json=None)
