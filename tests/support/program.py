"""The program's commands, run to their end, and who uses a server of it."""

from __future__ import annotations

import asyncio
import os
import sys

from loadtests.kit.client import Mall
from loadtests.kit.server import ROOT

LIMIT_S = 60


async def run(*arguments: str, **environ: str) -> tuple[int, str]:
    """`run.py` until it ends: exit code and everything it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run.py"), *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "MALL_FAST_PATH": os.environ.get("MALL_FAST_PATH", ""), **environ},
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_S):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def login(mall: Mall, email: str, password: str) -> Mall:
    """The same server, as the owner of an account."""
    tokens = await mall.do("POST", "/api/v2/auth/login", {"email": email, "password": password})
    return mall.as_(tokens["access_token"])
