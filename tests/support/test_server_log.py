"""Error lines of a log: each is returned once, whole, and by the look that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server_log import ServerLog


def line(event: str, level: str = "error") -> str:
    return f'{{"level":"{level}","event":"{event}"}}\n'


def test_error_line_is_returned_once_and_by_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(line("first") + line("quiet", "info"))
    log = ServerLog(path)
    assert log.new_errors() == [line("first").rstrip()]
    assert log.new_errors() == []
    with path.open("a") as file:
        file.write(line("second"))
    assert log.new_errors() == [line("second").rstrip()]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(line("cut")[:20])
    log = ServerLog(path)
    assert log.new_errors() == []
    with path.open("a") as file:
        file.write(line("cut")[20:])
    assert log.new_errors() == [line("cut").rstrip()]


def test_what_is_the_machines_fault_is_ignored_unless_everything_counts(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(line("lost"))
    assert ServerLog(path).new_errors() == []
    assert ServerLog(path, ignored=frozenset()).new_errors() == [line("lost").rstrip()]


def test_failure_says_when_and_shows_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(line("failed_turn"))
    with pytest.raises(pytest.fail.Exception, match=r"(?s)during this test.*failed_turn"):
        ServerLog(path).assert_no_errors("during this test")
