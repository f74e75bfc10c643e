"""`make model`: search the protocol and its wrong variants, and print what was found.

Ends with 1 when a result is not the expected one, with 2 when the checker cannot run.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from actors.model.cases import VARIANTS, Case, correct_cases, other_cases, story_cases
from actors.model.checker import Checker, CheckerError, ModelResult

# Made for a machine of two cores: long searches use both, short ones run side by side.
CORES = 2

_ROW = "{:<35} {:<24} {:<9} {:<9} {:>9} {:>5} {:>6}"


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def row(case: Case, result: ModelResult) -> str:
    """One line of the table. An unexpected verdict ends in an exclamation mark."""
    line = _ROW.format(
        case.name,
        " ".join(case.properties),
        case.expected,
        result.found,
        f"{result.states:,}",
        result.steps or "",
        f"{result.seconds:.1f}",
    )
    return line if result.found == case.expected else line + " !"


def check_all(checker: Checker) -> int:
    """Run all searches. Returns the number of unexpected verdicts."""
    wrong, began = 0, perf_counter()
    _say(_ROW.format("protocol", "properties", "expected", "found", "states", "steps", "s"))
    for case in correct_cases():
        _say(f"-- {case.bounds}")
        result = checker.search(case, CORES)
        wrong += result.found != case.expected
        _say(row(case, result))
    _say("-- within smaller bounds (cases.py)")
    cases = other_cases()
    with ThreadPoolExecutor(CORES) as pool:
        for case, result in zip(cases, pool.map(lambda c: checker.search(c, 1), cases), strict=True):
            wrong += result.found != case.expected
            _say(row(case, result))
    _say(f"{wrong} unexpected, {perf_counter() - began:.0f} s")
    return wrong


def tell_story(checker: Checker, name: str) -> None:
    """Print the shortest trace in which a variant breaks each of its properties."""
    for case in story_cases(name):
        _say(f"== {name}: {' '.join(case.properties)}")
        output = checker.search(case, 1).output
        begin, end = output.find("State 1:"), output.rfind("states generated")
        _say(output[begin : output.rfind("\n", 0, end)])


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m actors.model", description=__doc__)
    names = ", ".join(f"'{variant.name}'" for variant in VARIANTS if variant.broken)
    parser.add_argument("--story", metavar="NAME", help=f"tell how a variant breaks: {names}")
    story = parser.parse_args().story
    try:
        checker = Checker()
        if story is None:
            return 1 if check_all(checker) else 0
        tell_story(checker, story)
    except CheckerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyError:
        parser.error(f"no variant of that name; there are {names}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
