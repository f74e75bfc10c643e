"""The runner of the model; the model itself is run by `make model`."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest

from actors.model import __main__ as runner
from actors.model import cases, checker
from actors.model.cases import BROKEN, HOLDS, NEVER, OURS, PROPERTIES, VARIANTS, Case, SearchBounds
from actors.model.checker import Checker, CheckerError, ModelResult

COUNTS = "13565 states generated, 6233 distinct states found, 0 states left on queue.\n"
ENDED = f"Model checking completed. No error has been found.\n{COUNTS}"
STORY = f"Error: Invariant P1 is violated.\nState 1: <Initial>\nState 2: <Crash>\n{COUNTS}"
TEXT = checker.MODULE.read_text()


class Oracle(Checker):
    """Answers what is expected, but for one protocol."""

    def __init__(self, liar: str = "") -> None:
        self._liar = liar

    def search(self, case: Case, workers: int) -> ModelResult:
        opposite = HOLDS if case.expected == BROKEN else BROKEN
        return ModelResult(opposite if case.name == self._liar else case.expected, 1, 1, 0.0, STORY)


def test_end_of_a_search_is_read_as_holding() -> None:
    verdict = checker.read_verdict(ENDED, 1.0)
    assert (verdict.found, verdict.states, verdict.steps) == (HOLDS, 6233, 0)


def test_story_is_read_with_its_length() -> None:
    verdict = checker.read_verdict(STORY, 1.0)
    assert (verdict.found, verdict.states, verdict.steps) == (BROKEN, 6233, 2)


@pytest.mark.parametrize("output", ["", COUNTS, "Error: Parsing failed", "java.lang.OutOfMemoryError"])
def test_output_without_a_verdict_is_no_verdict(output: str) -> None:
    with pytest.raises(CheckerError):
        checker.read_verdict(output, 1.0)


def test_configuration_sets_every_constant_of_the_module() -> None:
    declared = re.findall(r"^CONSTANTS\n((?:    .*\n)+)", TEXT, re.MULTILINE)
    names = {
        name
        for block in declared
        for name in re.findall(r"\b([A-Z]\w+)(?=,|\s*\\\*|\s*$)", _uncommented(block))
    }
    config = checker.configuration(SearchBounds(), dict(OURS), ("P1",))
    assert {"Fence", "EpochMax", "Unread"} <= names
    assert {name for name in names if f"  {name} = " not in config} == set()


def _uncommented(block: str) -> str:
    return "\n".join(line.split("\\*")[0].rstrip() for line in block.splitlines())


def test_configuration_follows_bounds_and_switches() -> None:
    bounds = SearchBounds(instances=3, epochs=7)
    config = checker.configuration(bounds, {**OURS, "Fence": '"none"'}, ("P1", "P4"))
    assert "Instances = {i1, i2, i3}" in config
    assert "EpochMax = 7" in config
    assert 'Fence = "none"' in config
    assert config.endswith("INVARIANTS\nP1\nP4\n")


@pytest.mark.parametrize("name", [*PROPERTIES, *NEVER])
def test_module_defines_what_is_asked_of_it(name: str) -> None:
    assert re.search(rf"^{name} ==", TEXT, re.MULTILINE)


@pytest.mark.parametrize("switch", OURS)
def test_every_switch_of_the_module_has_a_variant(switch: str) -> None:
    assert any(v.switches.get(switch, OURS[switch]) != OURS[switch] for v in VARIANTS)


def test_broken_properties_are_searched_one_by_one_and_the_rest_together() -> None:
    variant = replace(VARIANTS[0], broken=("P2", "P4"), holds=None)
    assert [(c.properties, c.expected) for c in variant.cases()] == [
        (("P2",), BROKEN),
        (("P4",), BROKEN),
        (("P1", "P3", "P5"), HOLDS),
    ]


def test_expected_verdicts_all_round_are_no_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.check_all(Oracle()) == 0
    assert "!" not in capsys.readouterr().out


@pytest.mark.parametrize("liar", ["ours", "ours is not empty", "no fence"])
def test_unexpected_verdict_is_counted_and_marked(liar: str, capsys: pytest.CaptureFixture[str]) -> None:
    every = [*cases.correct_cases(), *cases.other_cases()]
    wrong = sum(case.name == liar for case in every)
    assert runner.check_all(Oracle(liar)) == wrong > 0
    assert capsys.readouterr().out.count(" !\n") == wrong


def test_no_java_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(CheckerError, match="default-jre-headless"):
        checker.find_java()


def test_no_tlc_is_said_with_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "find_spec", lambda _: None)
    with pytest.raises(CheckerError, match="make model"):
        checker.find_jar()


def test_story_of_an_unknown_variant_is_refused() -> None:
    with pytest.raises(KeyError):
        cases.story_cases("no such protocol")
