"""The program's commands, run to their end."""

from __future__ import annotations

import asyncio
import sys

from loadtests.server import ROOT

LIMIT_S = 60


async def run(*arguments: str, **environ: str) -> tuple[int, str]:
    """`run.py` until it ends: exit code and everything it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run.py"), *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env={"PATH": "/usr/bin:/bin", **environ},
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_S):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()
