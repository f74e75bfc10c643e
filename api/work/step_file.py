"""The record of steps in a file that is mapped into memory, so that it costs no call and outlives kill -9.

The next process of the same name reads it. Where it cannot be written, a death counts for all jobs of the worker.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path

from dispatch.jobs.ports import LastStep

# A job's number, or 0; then the worker's name.
_STEP = struct.Struct("<q")
_BYTES = 256


class StepFile:
    """Implements StepRecord in a file of the data folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"worker-{name}.step"
        self._bytes: mmap.mmap | bytearray = bytearray(_BYTES)

    def last(self) -> LastStep | None:
        try:
            content = self._path.read_bytes()
            worker = content[_STEP.size :].rstrip(b"\0").decode()
        except (OSError, ValueError):
            return None
        if len(content) != _BYTES or not worker:
            return None
        (job,) = _STEP.unpack_from(content)
        return LastStep(worker, job or None)

    def begin(self, worker: str) -> None:
        # A new file: a former process that still ends writes to its own.
        draft = self._path.with_suffix(".new")
        with suppress(OSError, ValueError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes((_STEP.pack(0) + worker.encode()).ljust(_BYTES, b"\0"))
            with draft.open("r+b") as file:
                self._bytes = mmap.mmap(file.fileno(), _BYTES)
            os.replace(draft, self._path)

    def enter(self, job: int) -> None:
        _STEP.pack_into(self._bytes, 0, job)

    def leave(self) -> None:
        _STEP.pack_into(self._bytes, 0, 0)
