"""The compiled planner: it gives the answers of the plain one, and one of other files is not used."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatch.compiled_planner import (
    COMPILED_PACKAGE,
    MODULES,
    SOURCES,
    compile_planner,
    compiled_planner,
    planner_digest,
)
from dispatch.domain.planning import PlanSettings, plan, straight_travel
from loadtests.score.step_times import METRES_PER_S, StepOptions, Town


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages, before any planner was looked for in it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == COMPILED_PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    compiled_planner.cache_clear()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == COMPILED_PACKAGE]:
        del sys.modules[name]
    compiled_planner.cache_clear()


def install(packages: Path, digest: str) -> None:
    (packages / COMPILED_PACKAGE).mkdir()
    text = f"from dispatch.domain.planning import plan\nDIGEST = {digest!r}\n"
    (packages / COMPILED_PACKAGE / "__init__.py").write_text(text)


def test_planner_of_these_files_is_used(packages: Path) -> None:
    install(packages, planner_digest())
    assert compiled_planner() is plan


def test_planner_of_other_files_is_not_used(packages: Path) -> None:
    install(packages, "0" * 64)
    assert compiled_planner() is None


def test_every_module_that_is_compiled_is_there() -> None:
    assert {f"{module}.py" for module in MODULES} <= {path.name for path in SOURCES.glob("*.py")}


@pytest.mark.long
def test_compiled_planner_gives_the_same_answers(packages: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("NO C COMPILER: the planner is not compiled")
    compile_planner(packages)
    compiled = compiled_planner()
    assert compiled is not None
    assert compiled is not plan
    settings = PlanSettings(straight_travel(METRES_PER_S), driving_weight=0.01, late_weight=0.5)
    for seed in range(4):
        town = Town(StepOptions(orders=30, drivers=40), seed)
        for step in range(6):
            state = town.state()
            result = plan(state, town.now_s, seed + step, settings)
            assert compiled(state, town.now_s, seed + step, settings) == result
            town.minute(result)
