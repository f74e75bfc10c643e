"""The process as an operator sees it: start, restart, farewell, refusals at start."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from loadtests.kit.client import ApiProblem, Mall, Phone, open_http
from loadtests.kit.server import ServerProcess
from tests.support.program import login, run
from tests.support.waiting import until


def processes_of(folder: Path) -> list[str]:
    """Commands of processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(folder) in command or where.startswith(str(folder)):
                found.append(command)
    return found


async def test_sample_mall_works_at_once_and_data_survive_a_restart(short_tmp_path: Path) -> None:
    data = short_tmp_path / "restart"
    server = ServerProcess(data, {"MALL_ADMIN_PASSWORD": ""})
    await server.start()
    said = server.log_path.read_text()
    assert server.url in said
    assert "shown this once" in said
    async with open_http() as http:
        mall = Mall(http, server.url)
        customer = await login(mall, "customer@mall.example", "sample-customer")
        [product, *_] = (await customer.do("GET", "/api/v2/products"))["items"]
        body = {
            "items": [{"product_id": product["id"], "quantity": 1}], "payment": "cash",
            "dropoff": {"lat": 52.5, "lon": 13.4, "address": "x"},
        }  # fmt: skip
        order = await customer.do("POST", "/api/v2/orders", body, key="survive-restart-1")
        assert await server.stop(signal.SIGTERM) == 0
        assert processes_of(data) == []
        await server.start()
        assert server.log_path.read_text().count("shown this once") == 1
        again = await customer.do("POST", "/api/v2/orders", body, key="survive-restart-1")
        assert again == order
        driver = await login(mall, "driver@mall.example", "sample-driver")
        phone = Phone(driver)
        offered = asyncio.Event()
        phone.on_event = lambda event: offered.set() if event["data"]["order_id"] == order["id"] else None
        async with phone.connected():
            await phone.ask({"t": "availability", "key": "online", "status": "online"})
            async with asyncio.timeout(10):
                await offered.wait()
    assert await server.stop(signal.SIGINT) == 0
    assert processes_of(data) == []


async def test_nothing_is_left_behind_after_kill_9(short_tmp_path: Path) -> None:
    data = short_tmp_path / "killed"
    server = ServerProcess(data)
    await server.start()
    assert len(processes_of(data)) >= 2
    await server.kill()
    await until(lambda: processes_of(data) == [])
    await server.start()
    await server.stop()


async def test_sockets_are_told_when_to_come_back(short_tmp_path: Path) -> None:
    server = ServerProcess(short_tmp_path / "drain", {"MALL_DRAIN_S": "1"})
    await server.start()
    [user] = await server.mint("driver", 1, "--zone", "zon_1")
    frames: list[dict[str, Any]] = []
    async with open_http() as http:
        phone = Phone(Mall(http, server.url, user["access_token"]))
        phone.on_frame = frames.append
        async with phone.connected(), asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(server.stop(signal.SIGTERM))
            await until(lambda: phone.close_code is not None)
        assert ending.result() == 0
        assert phone.close_code == 4200
        assert [f["t"] for f in frames][-1:] == ["drain"]
        assert frames[-1]["deadline_ms"] == 1000


async def test_taken_port_is_said_before_anything_is_touched(short_tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = await run("serve", MALL_PORT=port, MALL_DATA_DIR=str(short_tmp_path / "untouched"))
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "MALL_PORT" in said
    assert not (short_tmp_path / "untouched").exists()


async def test_second_server_on_the_same_data_is_refused(short_tmp_path: Path) -> None:
    data = short_tmp_path / "shared"
    server = ServerProcess(data)
    await server.start()
    code, said = await run("serve", MALL_DATA_DIR=str(data), MALL_PORT="0", MALL_OPS_PORT="0")
    assert code == 2
    assert str(server.pid) in said
    assert "Traceback" not in said
    async with open_http() as http:
        with pytest.raises(ApiProblem):
            await Mall(http, server.url).do("GET", "/api/v2/me")
    await server.stop()


async def test_help_names_every_setting() -> None:
    code, said = await run("--help")
    assert code == 0
    for name in ("serve", "migrate", "mint", "check", "DATABASE_URL", "REDIS_URL", "MALL_INSTANCE"):
        assert name in said


async def test_page_of_the_api_is_served_without_anything_from_elsewhere(short_tmp_path: Path) -> None:
    server = ServerProcess(short_tmp_path / "docs")
    await server.start()
    async with open_http() as http:
        for root in (server.url, server.ops_url):
            async with http.get(root) as response:
                assert (response.status, response.content_type) == (200, "text/html")
                links = re.findall(r'href="(/[^"]*)"', await response.text())
            assert links
            for link in links:
                async with http.get(root + link) as response:
                    assert response.status == 200, link
        for path, kind in (
            ("/docs", "text/html"),
            ("/docs/page.js", "text/javascript"),
            ("/docs/page.css", "text/css"),
        ):
            async with http.get(server.url + path) as response:
                assert (response.status, response.content_type) == (200, kind)
                assert "http" not in (await response.text()).replace("http-equiv", "")
        async with http.get(server.url + "/api/v2/openapi.json") as response:
            assert (await response.json())["openapi"] == "3.1.0"
    await server.stop()
