"""One ops address for a machine with several instances: it stays, and nothing that is bound keeps a caller waiting."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess
from tests.acceptance.test_supervisor import children_of

# Whatever is asked here answers, or refuses, within its own bound; this is for a machine that is busy.
PATIENCE_S = 20.0
LIMIT_S = 60.0
NAMES = ("mall-1", "mall-2", "mall-3")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
async def server(short_tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(
        short_tmp_path / "machine",
        {"MALL_LOG_LEVEL": "info", "MALL_INSTANCE": "mall", "MALL_OPS_NAMES": "ops.mall.internal"},
        ("--instances", "3"),
    )
    await server.start()
    try:
        await _until_ready(server, 3)
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http() as http:
        yield http


async def _get(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, str]:
    async with asyncio.timeout(PATIENCE_S), http.get(url, headers=headers) as response:
        return response.status, await response.text()


async def _json(http: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, Any]]:
    status, text = await _get(http, url)
    return status, json.loads(text)


async def _until_ready(server: ServerProcess, count: int) -> dict[str, Any]:
    """What /health says once so many are ready."""
    async with open_http() as http, asyncio.timeout(LIMIT_S):
        while True:
            _, found = await _json(http, server.ops_url + "/health")
            ready = [name for name, seen in found["instances"].items() if seen["status"] == "ready"]
            if len(ready) == count == len(found["instances"]):
                return found


async def _machine(http: aiohttp.ClientSession, server: ServerProcess) -> dict[str, dict[str, Any]]:
    """The processes by name."""
    _, found = await _json(http, server.ops_url + "/status?local=1")
    return {process["instance"]: process for process in found["machine"]}


async def test_metrics_of_all_instances_are_in_one_answer_with_a_label_each(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    status, text = await _get(http, server.ops_url + "/metrics")
    assert status == 200
    lines = text.splitlines()
    for name in NAMES:
        assert f'mall_instance_up{{instance="{name}"}} 1' in lines
        assert any(
            line.startswith(f'mall_shards_owned{{instance="{name}",state="served"}} ') for line in lines
        )
    samples = [line for line in lines if not line.startswith("#")]
    assert all('instance="' in line for line in samples)
    kinds = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(kinds) == len(set(kinds)), "a family stands once"


async def test_status_shows_the_cluster_and_every_process_of_the_machine(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    status, found = await _json(http, server.ops_url + "/status")
    assert status == 200
    assert sorted(member["instance"] for member in found["cluster"]["members"]) == list(NAMES)
    assert [process["state"] for process in found["machine"]] == ["serving"] * 3 + ["spare"]
    assert {process["pid"] for process in found["machine"]} - {None} == children_of(server.pid)
    status, page = await _get(http, server.ops_url + "/status", **BROWSER)
    assert "Processes of this machine" in page
    assert "3 instances answered" in page


async def test_health_names_each_instance(server: ServerProcess, http: aiohttp.ClientSession) -> None:
    found = await _until_ready(server, 3)
    assert found["status"] == "ready"
    assert sorted(found["instances"]) == list(NAMES)
    for probe in ("", "/liveness", "/readiness", "/startup"):
        status, _ = await _get(http, server.ops_url + "/health" + probe)
        assert status == 200
    assert (await _get(http, server.ops_url + "/nothing"))[0] == 404
    status, page = await _get(http, server.ops_url + "/")
    assert (status, 'href="/status"' in page) == (200, True)


async def _knock(port: int) -> str:
    """What a port does with a request: an answer's first line, `refused`, or "" when its process ends meanwhile."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return "refused"
        writer.write(b"GET /health/liveness HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        try:
            return (await reader.readline()).decode().strip()
        except ConnectionResetError:  # it had not read the request when it ended
            return ""
        finally:
            writer.close()


async def test_port_of_the_spare_refuses_at_once_and_all_others_answer(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    known = await _machine(http, server)
    said = {process["state"]: await _knock(process["ops_port"]) for process in known.values()}
    assert said == {"serving": "HTTP/1.1 200 OK", "spare": "refused"}
    assert min(process["ops_port"] for process in known.values()) > server.ops_port


async def test_instance_that_was_killed_keeps_its_ops_address_and_is_missed_meanwhile(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    before = (await _machine(http, server))["mall-2"]
    os.kill(before["pid"], signal.SIGKILL)
    async with asyncio.timeout(LIMIT_S):
        while (await _machine(http, server))["mall-2"]["starts"] == before["starts"]:
            pass
    status, _ = await _get(http, server.ops_url + "/metrics")
    assert status == 200
    await _until_ready(server, 3)
    after = (await _machine(http, server))["mall-2"]
    assert (after["ops_port"], after["exit_code"]) == (before["ops_port"], -signal.SIGKILL)
    assert await _knock(after["ops_port"]) == "HTTP/1.1 200 OK"


async def test_frozen_instance_keeps_no_scrape_waiting(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    victim = (await _machine(http, server))["mall-3"]["pid"]
    os.kill(victim, signal.SIGSTOP)
    try:
        status, text = await _get(http, server.ops_url + "/metrics")
        assert status == 200
        assert 'mall_instance_up{instance="mall-3"} 0' in text
        assert 'mall_instance_up{instance="mall-1"} 1' in text
        status, found = await _json(http, server.ops_url + "/health")
        assert (status, found["status"], found["instances"]["mall-3"]) == (
            200,
            "degraded",
            {"status": "silent"},
        )
    finally:
        os.kill(victim, signal.SIGCONT)
    await _until_ready(server, 3)


async def test_ops_addresses_stay_while_instances_are_restarted_one_after_the_other(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    before = await _machine(http, server)
    os.kill(server.pid, signal.SIGHUP)
    async with asyncio.timeout(LIMIT_S):
        while "restarted_all_instances" not in server.log_path.read_text():
            assert (await _get(http, server.ops_url + "/health/liveness"))[0] == 200
            for process in before.values():
                assert await _knock(process["ops_port"]) in ("HTTP/1.1 200 OK", "refused", "")
    after = await _machine(http, server)
    assert {n: p["ops_port"] for n, p in after.items()} == {n: p["ops_port"] for n, p in before.items()}
    assert sorted(p["state"] for p in after.values()) == ["serving"] * 3 + ["spare"]
    for process in after.values():
        expected = "refused" if process["state"] == "spare" else "HTTP/1.1 200 OK"
        assert await _knock(process["ops_port"]) == expected


async def test_page_of_a_stranger_that_points_to_us_reads_nothing(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    own = (await _machine(http, server))["mall-1"]["ops_port"]
    for base in (server.ops_url, f"http://127.0.0.1:{own}"):
        for path in ("/status", "/metrics", "/health", "/nothing"):
            status, text = await _get(http, base + path, Host="rebound.example:8081")
            assert (status, json.loads(text)["code"]) == (421, "unknown_host")
            assert "MALL_OPS_NAMES" in text
        assert (await _get(http, base + "/health", Host="localhost"))[0] == 200
        assert (await _get(http, base + "/health", Host="ops.mall.internal:8081"))[0] == 200
