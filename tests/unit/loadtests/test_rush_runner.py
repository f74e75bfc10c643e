"""The runner's command line, without locust."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.rush import __main__ as runner


def test_profile_is_smoke_and_headless_unless_said_otherwise() -> None:
    options = runner.read_options([])
    assert (options.profile, options.page, options.url, options.users) == ("smoke", False, None, None)


@pytest.mark.parametrize(
    "line", [["--profile", "rain"], ["--users", "1"], ["--seconds", "x"], ["--page", "--headless"]]
)
def test_senseless_options_are_refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.read_options(line)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_locust_is_called_headless_or_with_its_page_on_this_machine_alone() -> None:
    assert "--headless" in runner.locust_line("http://mall", None)
    line = runner.locust_line("http://mall", 8089)
    assert "--headless" not in line
    assert line[line.index("--web-host") + 1] == "127.0.0.1"
    assert line[line.index("--web-port") + 1] == "8089"


def test_missing_locust_is_said_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "LOCUST", tmp_path / "locust")
    assert runner.main([]) == 2
    assert "make .venv-load/.ready" in capsys.readouterr().err
