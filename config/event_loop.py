"""Runs a program on the event loop that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from config.settings import Settings


def run_loop(settings: Settings, main: Coroutine[Any, Any, int]) -> int:
    """Run it to its end; returns its exit code."""
    if settings.loop == "uvloop":
        import uvloop

        return uvloop.run(main)
    return asyncio.run(main)
