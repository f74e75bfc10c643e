"""A real Prometheus over the shipped configuration and rules, in a hurry: it scrapes and evaluates every 2 s."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from config.deploy.rules import rule_files
from loadtests.kit.client import open_http
from loadtests.kit.server import ROOT, free_port
from loadtests.kit.waiting import until

PROGRAM = shutil.which("prometheus")
SHIPPED = ROOT / "config" / "deploy" / "prometheus" / "prometheus.yml"
EVERY = "2s"
# Two instances and a worker.
PROCESSES_SEEN = 3
# For a machine that is busy.
LIMIT_S = 60.0


def require_prometheus() -> None:
    """Skip, aloud, where Debian's package is missing; where changes are judged it may not be."""
    if PROGRAM is not None:
        return
    text = "QUERIES OF DASHBOARDS NOT TESTED: apt-get install prometheus"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


class PrometheusProcess:
    """Prometheus, asked over its HTTP API."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, scraped: str) -> None:
        self._folder = folder
        self._http = http
        self._scraped = scraped
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    def _configure(self) -> Path:
        """The shipped configuration with its jobs, rules and labels; other addresses, shorter intervals."""
        found = yaml.safe_load(SHIPPED.read_text())
        found["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval", "scrape_timeout"), EVERY)
        del found["alerting"]
        targets = {"mall": self._scraped, "prometheus": f"127.0.0.1:{self._port}"}
        found["scrape_configs"] = [job for job in found["scrape_configs"] if job["job_name"] in targets]
        for job in found["scrape_configs"]:
            job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        rules = self._folder / "rules"
        rules.mkdir(parents=True)
        for name, text in rule_files().items():
            (rules / name).write_text(re.sub(r"interval: \d+s", f"interval: {EVERY}", text))
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(found))
        return path

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM is not None
        path = self._configure()
        with (self._folder / "prometheus.txt").open("wb") as out:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAM, f"--config.file={path}", f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn", stdout=out, stderr=out,
            )  # fmt: skip
        assert await until(self._answers, LIMIT_S)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "prometheus.txt").read_text()
        try:
            async with self._http.get(f"http://127.0.0.1:{self._port}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def end(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def ask(self, path: str, **values: str) -> tuple[str, Any]:
        """Call the API; returns the error, empty if there is none, and the data."""
        async with self._http.post(f"http://127.0.0.1:{self._port}/api/v1/{path}", data=values) as answer:
            found = await answer.json()
            return str(found.get("error", "")), found.get("data")

    async def series(self, selector: str) -> int:
        """How many series fit, now or earlier."""
        error, data = await self.ask("series", **{"match[]": selector})
        assert not error, f"{selector}: {error}"
        return len(data)

    async def holds(self, query: str) -> bool:
        """Whether a query has a value."""
        error, data = await self.ask("query", query=query)
        assert not error, f"{query}: {error}"
        return bool(data["result"])

    async def until(self, query: str) -> None:
        """Wait until a query has a value.

        Raises:
            TimeoutError: it got none.
        """
        if not await until(lambda: self.holds(query), LIMIT_S):
            raise TimeoutError(query)

    async def moment(self) -> str:
        """A time at which the samples of all processes are there. On a busy machine a scrape may come to nothing."""
        moments: list[str] = []

        async def found() -> bool:
            _, data = await self.ask("query", query=f"count(mall_ready) >= {PROCESSES_SEEN}")
            moments.extend(str(series["value"][0]) for series in data["result"])
            return bool(moments)

        assert await until(found, LIMIT_S)
        return moments[0]

    async def until_scraped(self, times: int) -> None:
        """Wait for so many more scrapes of the mall that bring something."""
        count = 'sum_over_time(up{job="mall"}[1h])'
        _, data = await self.ask("query", query=count)
        before = float(data["result"][0]["value"][1]) if data["result"] else 0.0
        await self.until(f"{count} >= {before + times:g}")


@asynccontextmanager
async def open_prometheus(folder: Path, scraped: str) -> AsyncIterator[PrometheusProcess]:
    """A running Prometheus that scrapes this host and port."""
    async with open_http() as http:
        prometheus = PrometheusProcess(folder, http, scraped)
        try:
            await prometheus.start()
            yield prometheus
        finally:
            await prometheus.end()
