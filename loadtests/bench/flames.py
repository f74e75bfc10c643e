"""Where the time goes: py-spy samples the server from outside while a cell is measured.

It stops the process for a moment at every sample, so rates measured meanwhile are a little too low.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SAMPLES_PER_S = 250
_FORMATS = {".svg": "flamegraph", ".txt": "raw", ".json": "speedscope"}
# How long the profiler may take to write what it has seen.
WRITE_S = 30.0


@asynccontextmanager
async def profiled(pid: int, out: Path | None) -> AsyncIterator[None]:
    """Sample a process until the block ends; nothing without a file to write to.

    Raises:
        RuntimeError: the profiler may not look into the process (it needs ptrace), or is not installed.
    """
    if out is None:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--rate", str(SAMPLES_PER_S),
        "--format", _FORMATS.get(out.suffix, "flamegraph"), "--output", str(out), "--duration", "unlimited",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = await process.stdout.readline()
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WRITE_S):
            rest, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"py-spy: {(said + rest).decode(errors='replace')[-500:]}")
