"""Failures out of the output of Schemathesis: the operation and the request first."""

from __future__ import annotations

import re
from typing import NamedTuple

# `____ GET /api/v2/zones ____`: the operation that the next cases are about. Chains of requests have another title.
_TITLE = re.compile(r"^_{3,} (?P<operation>[^_].*?) _{3,}$", re.MULTILINE)
_CASE = re.compile(r"^\d+\. Test Case ID: \S+$", re.MULTILINE)
_REQUEST = re.compile(r"^Reproduce with:\s*(?P<request>.*)", re.MULTILINE | re.DOTALL)
TAIL_CHARS = 4000
CASE_CHARS_MAX = 1500


class Failure(NamedTuple):
    """One failing case: the operation, the request as a curl command, and what is wrong with the answer."""

    operation: str
    request: str
    found: str

    def __str__(self) -> str:
        text = f"{self.operation}\n    {self.request}\n{self.found}"
        return text if len(text) <= CASE_CHARS_MAX else f"{text[:CASE_CHARS_MAX]} ..."


def failures_in(output: str) -> list[Failure]:
    """The failing cases, in the order of the output."""
    found = []
    _, *parts = _TITLE.split(output)
    for operation, text in zip(parts[::2], parts[1::2], strict=True):
        for case in _CASE.split(text.partition("\n=====")[0])[1:]:
            request = _REQUEST.search(case)
            asked = request["request"].strip() if request else "(no request is shown)"
            answer = case[: request.start()] if request else case
            found.append(Failure(operation, asked, answer.strip()))
    return found


def report(role: str, output: str) -> str:
    """What a failed test prints: each failing operation with its request, then the end of the output."""
    heads = [f"as {role}: {failure}" for failure in failures_in(output)]
    return "\n\n".join([*heads, f"as {role}, the end of the output:", output[-TAIL_CHARS:]])
