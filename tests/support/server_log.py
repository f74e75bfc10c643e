"""The log of a running server, read from where the last look ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# A store that answers late, on a machine with other work, is no fault of the server.
OF_THE_MACHINE = frozenset({"lost"})


class ServerLog:
    """Error lines of a log, each returned once, so that a test is blamed for its own lines only."""

    def __init__(self, path: Path, ignored: frozenset[str] = OF_THE_MACHINE) -> None:
        """`ignored` are events that may be logged as errors."""
        self._path = path
        self._ignored = ignored
        self._offset = 0

    def new_errors(self) -> list[str]:
        """The error lines since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = [line for line in whole.decode().splitlines() if '"level":"error"' in line]
        return [line for line in lines if json.loads(line)["event"] not in self._ignored]

    def assert_no_errors(self, when: str) -> None:
        """Fail with the error lines since the last call; `when` says what was under way."""
        errors = self.new_errors()
        if errors:
            pytest.fail(f"error lines in {self._path}, {when}:\n" + "\n".join(errors), pytrace=False)
