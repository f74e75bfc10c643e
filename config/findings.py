"""Findings of preflight checks: ok, warning or fault, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Weight = Literal["ok", "warning", "fault"]
# Width of the first column.
_COLUMN = 9


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    Attributes:
        weight: a `fault` prevents a start; a `warning` does not.
        text: the finding, without secrets.
        remedy: what an operator should do; may have several lines.
    """

    weight: Weight
    text: str
    remedy: str = ""

    def lines(self) -> str:
        """The finding as lines for an operator."""
        head = self.weight.upper() if self.weight == "fault" else self.weight
        indented = [" " * _COLUMN + line for part in (self.text, self.remedy) for line in part.splitlines()]
        return "\n".join([head.ljust(_COLUMN) + indented[0].strip(), *indented[1:]])


def ok(text: str) -> Finding:
    """Make a finding without a problem."""
    return Finding("ok", text)


def warning(text: str, remedy: str = "") -> Finding:
    """Make a finding that does not prevent a start."""
    return Finding("warning", text, remedy)


def fault(text: str, remedy: str = "") -> Finding:
    """Make a finding that prevents a start."""
    return Finding("fault", text, remedy)


def report(findings: Iterable[Finding]) -> tuple[str, int]:
    """All findings as text, and the exit code: 1 if there is a fault."""
    found = list(findings)
    faults = sum(finding.weight == "fault" for finding in found)
    verdict = "Nothing stands in the way of a start."
    if faults:
        verdict = f"{faults} fault{'' if faults == 1 else 's'} in the way of a start."
    return "\n".join([*(finding.lines() for finding in found), verdict]), int(faults > 0)


def unknown_name(name: str, known: Sequence[str]) -> str:
    """Warning for an unknown variable, with the most similar known one.

    A misspelt variable would silently leave the default in force.
    """
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"{name}: there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
