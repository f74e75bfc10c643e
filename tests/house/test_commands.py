"""Commands start at once: none imports what only another one needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from loadtests.kit.server import ROOT

SERVER = ("api.app", "api.feed.socket", "alembic", "sqlalchemy")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("run", (*SERVER, "aiohttp", "redis")),
        ("api.operator.jobs", (*SERVER, "aiohttp")),
        ("api.operator.trace", (*SERVER, "aiohttp")),
        ("api.operator.database_commands", (*SERVER, "aiohttp")),
        ("api.server.serve_command", SERVER),
        ("api.work.work_command", SERVER),
    ],
)
def test_command_does_not_load_the_server(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*({set(absent)} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
