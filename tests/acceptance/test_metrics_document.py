"""config/deploy/metrics.md has what a running server and its worker export."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from api.ops.metrics_document import described, document
from loadtests.kit.server import EMBEDDED, open_server

DOCUMENT = Path(__file__).resolve().parents[2] / "config" / "deploy" / "metrics.md"


async def test_document_of_the_metrics_is_what_is_exported(tmp_path: Path) -> None:
    async with (
        open_server(tmp_path / "mall", {**EMBEDDED, "MALL_WORK": "on"}) as server,
        aiohttp.ClientSession() as http,
        asyncio.timeout(30),
    ):
        text = ""
        while "mall_jobs_oldest_seconds{" not in text:  # the worker has come, and looked
            async with http.get(server.ops_url + "/metrics") as response:
                text = await response.text()
    made = document(described(text))
    assert made == DOCUMENT.read_text(), "python -m api.ops.metrics_document makes it"
