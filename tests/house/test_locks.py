"""The locks: what is installed is what was tried, to the byte, wherever it comes from."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "config" / "locks"
PAGES = ROOT / "api" / "pages"
# Each lock, and the extras of setup.cfg that it holds beside what serving needs.
HOLDS = {"serving": (), "running": ("embedded",), "testing": ("embedded", "dev")}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)(?: ; [^\\]+)? \\$")


def pins(name: str) -> dict[str, Version]:
    """What a lock holds; fails on a line that is neither a pin nor a hash."""
    found: dict[str, Version] = {}
    bare: set[str] = set()
    for line in (LOCKS / f"{name}.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        pin = _PIN.match(line)
        if pin:
            found[canonicalize_name(pin[1])] = Version(pin[2])
            bare.add(pin[1])
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), line
            bare.clear()
    assert not bare, "each has a hash"
    return found


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    found = requirements(config["options"]["install_requires"])
    for extra in extras:
        found += wanted_of(extra)
    return found


def wanted_of(extra: str) -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return requirements(config["options.extras_require"][extra])


def requirements(text: str) -> list[Requirement]:
    lines = [line.strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", HOLDS)
def test_lock_holds_everything_that_is_wanted_with_hashes_and_names_no_registry(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    held = pins(name)
    for requirement in wanted(HOLDS[name]):
        version = held.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is missing; run make lock"
        assert requirement.specifier.contains(version), f"{requirement.name} {version}; run make lock"


def test_lock_of_the_pages_names_npm_alone_with_hashes() -> None:
    assert "://" not in (LOCKS / "pages.txt").read_text()
    [requirement] = wanted_of("pages")
    held = pins("pages")
    assert list(held) == [canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(held[canonicalize_name(requirement.name)])


def test_packages_of_npm_are_exact_and_locked_with_hashes_and_name_no_registry() -> None:
    text = (PAGES / "package-lock.json").read_text()
    assert "://" not in text
    assert '"resolved"' not in text
    named = json.loads((PAGES / "package.json").read_text())
    packages = json.loads(text)["packages"]
    for name, version in (named["dependencies"] | named["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in about for name, about in packages.items() if name)


def test_smaller_locks_are_parts_of_the_greater_ones() -> None:
    serving, running, testing = (pins(name).items() for name in HOLDS)
    assert serving <= running <= testing


def test_nothing_that_serves_or_tests_is_installed_without_a_lock() -> None:
    """The model checker, the linter of documents and locust have environments of their own, which serve nobody."""
    steps = ROOT / "config" / "deploy" / "image.sh"
    text = "\n".join(path.read_text() for path in (ROOT / "Makefile", steps)).replace("\\\n", " ")
    installs = [line for line in text.splitlines() if "pip install" in line and "_VENV)" not in line]
    assert len(installs) == 3
    assert all("--require-hashes" in line for line in installs), installs
