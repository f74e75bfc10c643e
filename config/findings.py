"""What a look at the surroundings finds: good, doubtful, or in the way, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Weight = Literal["ok", "warning", "fault"]
# Lines that belong together begin in one column.
_COLUMN = 9


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        weight: `fault` stands in the way of a start; `warning` does not.
        text: what is so, without secrets.
        remedy: what to do about it; may have several lines.
    """

    weight: Weight
    text: str
    remedy: str = ""

    def lines(self) -> str:
        """As an operator reads it."""
        head = self.weight.upper() if self.weight == "fault" else self.weight
        indented = [" " * _COLUMN + line for part in (self.text, self.remedy) for line in part.splitlines()]
        return "\n".join([head.ljust(_COLUMN) + indented[0].strip(), *indented[1:]])


def ok(text: str) -> Finding:
    """Something is as it should be."""
    return Finding("ok", text)


def warning(text: str, remedy: str = "") -> Finding:
    """Something is doubtful; a start works all the same."""
    return Finding("warning", text, remedy)


def fault(text: str, remedy: str = "") -> Finding:
    """Something stands in the way of a start."""
    return Finding("fault", text, remedy)


def report(findings: Iterable[Finding]) -> tuple[str, int]:
    """All of them as a text, and the exit code: 1 when one stands in the way."""
    found = list(findings)
    faults = sum(finding.weight == "fault" for finding in found)
    verdict = "Nothing stands in the way of a start."
    if faults:
        verdict = f"{faults} fault{'' if faults == 1 else 's'} in the way of a start."
    return "\n".join([*(finding.lines() for finding in found), verdict]), int(faults > 0)


def unknown_name(name: str, known: Sequence[str]) -> str:
    """A variable that is none, and the nearest that is one.

    Misspelt, it would leave the default in force, and nobody would notice.
    """
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"{name}: there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
