"""The real Prometheus and Alertmanager on the files that are shipped; only addresses are others."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from config.deploy import rules
from config.deploy.rules import rule_files
from loadtests.drill.pager import RECEIVERS
from loadtests.drill.past import write_past
from loadtests.kit.server import free_port
from loadtests.kit.waiting import until
from storage.embedded.process import ServerProcess as ChildProcess

HOME = Path(rules.__file__).parent
START_S, STOP_S = 60.0, 10.0


def find_programs() -> Mapping[str, str] | None:
    """Prometheus, promtool and Alertmanager by name; None where one is not installed."""
    found = {
        "prometheus": shutil.which("prometheus"),
        "promtool": shutil.which("promtool"),
        "alertmanager": shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"),
    }
    there = {name: path for name, path in found.items() if path is not None}
    return there if len(there) == len(found) else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast alerting runs. Times other than the shipped ones are for tests, and are no measurement.

    Attributes:
        scrape_s: between two scrapes; None as shipped, and evaluations as well.
        factor: on how long an alert must hold, and on Alertmanager's pauses.
        past: Prometheus looks back at an hour of good service.
    """

    scrape_s: float | None = None
    factor: float = 1.0
    past: bool = True

    @property
    def shipped(self) -> bool:
        return self.scrape_s is None and self.factor == 1.0 and self.past


SHIPPED = Pace()
# Windows of rates are as shipped: a rate needs two samples in its window, whatever the pace.
# An alert must hold for longer than a new Prometheus takes until its first scrape, or MallDown fired at once.
BRISK = Pace(scrape_s=5.0, factor=2 / 5)
BRISK_EVALUATION_S = 1.0


def _ms(text: str, factor: float) -> str:
    """`1m` at a factor, in milliseconds."""
    unit_s = {"s": 1.0, "m": 60.0, "h": 3600.0}[text[-1]]
    return f"{round(float(text[:-1]) * unit_s * factor * 1000)}ms"


def rule_texts(pace: Pace) -> Mapping[str, str]:
    """The shipped rules at a pace."""
    texts = rule_files()
    if pace.shipped:
        return texts
    made = {name: yaml.safe_load(text) for name, text in texts.items()}
    for group in (group for file in made.values() for group in file["groups"]):
        group.pop("interval", None)
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = _ms(rule["for"], pace.factor)
    return {name: yaml.safe_dump(file, sort_keys=False) for name, file in made.items()}


def prometheus_config(rules_folder: Path, targets: Mapping[str, str], pace: Pace) -> str:
    """The shipped configuration, with these targets by job; `alertmanager` is one of them."""
    made = yaml.safe_load((HOME / "prometheus" / "prometheus.yml").read_text())
    made["rule_files"] = [f"{rules_folder}/*.yaml"]
    made["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [targets["alertmanager"]]}]}]
    for job in made["scrape_configs"]:
        target = targets.get(job["job_name"])
        job["static_configs"] = [{"targets": [] if target is None else [target]}]
    if pace.scrape_s is not None:
        every, rules_every = _ms(f"{pace.scrape_s}s", 1.0), _ms(f"{BRISK_EVALUATION_S}s", 1.0)
        made["global"] |= {
            "scrape_interval": every,
            "scrape_timeout": every,
            "evaluation_interval": rules_every,
        }
    text: str = yaml.safe_dump(made, sort_keys=False)
    return text


def manager_config(pager_port: int, pace: Pace) -> str:
    """The shipped routes, with the webhook here in place of all receivers."""
    made = yaml.safe_load((HOME / "alertmanager" / "alertmanager.yml").read_text())
    assert tuple(receiver["name"] for receiver in made["receivers"]) == RECEIVERS
    for receiver in made["receivers"]:
        receiver["webhook_configs"][0]["url"] = f"http://127.0.0.1:{pager_port}/{receiver['name']}"
    if pace.factor != 1.0:
        for route in (made["route"], *made["route"]["routes"]):
            for name in {"group_wait", "group_interval"} & route.keys():
                route[name] = _ms(route[name], pace.factor)
    text: str = yaml.safe_dump(made, sort_keys=False)
    return text


class Monitoring:
    """Both, running.

    Attributes:
        url: Prometheus's.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def answers(self, url: str) -> bool:
        """True if a server says that it is ready."""
        try:
            async with self._http.get(f"{url}/-/ready") as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The value of an expression now: a list of series."""
        async with self._http.get(f"{self.url}/api/v1/query", params={"query": expression}) as response:
            found: list[dict[str, Any]] = (await response.json())["data"]["result"]
            return found

    async def firing(self, alert: str) -> bool:
        """True while an alert fires, as Prometheus says."""
        return bool(await self.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}}'))

    async def seen(self) -> bool:
        """True once the server under drill has been scraped."""
        return bool(await self.query('up{job="mall"} == 1'))


@contextmanager
def _child(arguments: list[str], folder: Path, name: str) -> Any:
    """A process for the length of a block; its output goes to a file."""
    output = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        process = ChildProcess(arguments, output=output, death_signal=signal.SIGTERM, cwd=str(folder))
    finally:
        os.close(output)
    try:
        yield process
    finally:
        process.end((signal.SIGTERM, STOP_S))


def _prepare(folder: Path, targets: Mapping[str, str], pager_port: int, pace: Pace, promtool: str) -> None:
    """Write all files."""
    folder.mkdir(parents=True)
    (folder / "rules").mkdir()
    for name, text in rule_texts(pace).items():
        (folder / "rules" / name).write_text(text)
    (folder / "prometheus.yml").write_text(prometheus_config(folder / "rules", targets, pace))
    (folder / "alertmanager.yml").write_text(manager_config(pager_port, pace))
    if pace.past:
        write_past(promtool, folder / "tsdb", time.time())


@asynccontextmanager
async def open_monitoring(
    folder: Path, mall_ops: str, pager_port: int, pace: Pace, http: aiohttp.ClientSession
) -> AsyncIterator[Monitoring]:
    """Prometheus and Alertmanager for the length of a block, in the main thread. `mall_ops` is host:port to scrape.

    Raises:
        RuntimeError: one is not installed, or does not start.
    """
    programs = find_programs()
    if programs is None:
        raise RuntimeError(
            "Prometheus and Alertmanager are needed (apt-get install prometheus prometheus-alertmanager)"
        )
    targets = {
        "alertmanager": f"127.0.0.1:{free_port()}", "prometheus": f"127.0.0.1:{free_port()}", "mall": mall_ops,
    }  # fmt: skip
    _prepare(folder, targets, pager_port, pace, programs["promtool"])
    manager = [
        programs["alertmanager"], f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/manager",
        f"--web.listen-address={targets['alertmanager']}", "--cluster.listen-address=", "--log.level=warn",
    ]  # fmt: skip
    prometheus = [
        programs["prometheus"], f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address={targets['prometheus']}", "--log.level=warn",
    ]  # fmt: skip
    with _child(manager, folder, "alertmanager"), _child(prometheus, folder, "prometheus"):
        monitoring = Monitoring(f"http://{targets['prometheus']}", http)
        for name in ("alertmanager", "prometheus"):
            if not await until(lambda name=name: monitoring.answers(f"http://{targets[name]}"), START_S):  # type: ignore[misc]
                raise RuntimeError(f"{name} is not ready: {(folder / f'{name}.log').read_text()[-1000:]}")
        yield monitoring
