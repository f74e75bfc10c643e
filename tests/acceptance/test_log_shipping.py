"""Log lines of instances under load reach their store by the real shipper: all of them, valid, and without a secret.

Meanwhile the receiver is down, and refuses, and the shipper is killed.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ROOT, ServerProcess
from loadtests.kit.waiting import until
from storage.embedded import EmbeddedValkey
from tests.acceptance.running_mall import RunningMall
from tests.support.shipping import Receiver, Shipper, require_syslog_ng

SCHEMA: dict[str, Any] = json.loads((ROOT / "config" / "deploy" / "logs.schema.json").read_text())
PASSWORD = "a secret that nobody may read"
CARD = "tok_visa_of_the_log_test"
LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def shipper_is_installed() -> None:
    require_syslog_ng()


@asynccontextmanager
async def shipping(folder: Path) -> AsyncIterator[tuple[Receiver, Shipper, Path]]:
    """Receiver and shipper for the files of a folder."""
    logs, receiver = folder / "logs", Receiver()
    logs.mkdir()
    url = f"http://127.0.0.1:{receiver.port}/lines"
    shipper = Shipper(folder, "syslog-ng.conf", {"MALL_LOG_DIR": str(logs), "MALL_LOG_URL": url})
    await receiver.up()
    await shipper.start()
    try:
        yield receiver, shipper, logs
    finally:
        await shipper.end()
        await receiver.down()


@asynccontextmanager
async def logging_server(
    folder: Path, logs: Path, database_url: str, valkey: EmbeddedValkey, *arguments: str
) -> AsyncIterator[ServerProcess]:
    environ = {
        "DATABASE_URL": database_url, "REDIS_URL": valkey.redis_url, "MALL_LOG_LEVEL": "info",
        "MALL_ADMIN_PASSWORD": PASSWORD, "MALL_GATEWAY_URL": "sandbox", "MALL_GATEWAY_KEY": "key-of-the-gateway-000",
    }  # fmt: skip
    server = ServerProcess(folder / "server", environ, arguments)
    server.log_to(logs / "mall.log")
    await server.start()
    try:
        yield server
    finally:
        await server.end()


async def live(server: ServerProcess, http: Any, rounds: int) -> set[str]:
    """People who register, order, pay, fail and read; returns what may stand in no line."""
    secrets = {PASSWORD, CARD, "key-of-the-gateway-000"}
    [boss] = await server.mint("admin", 1, "--prefix", "logs")
    mall = RunningMall(server, http, {"admin": boss["access_token"], "customer": "", "other": ""})
    zone = await mall.zone()
    secrets.add(boss["access_token"])
    for number in range(rounds):
        account = {"email": f"log{number}@example.org", "password": PASSWORD, "name": "L"}
        tokens = await mall.anybody.do("POST", "/api/v2/auth/register", account)
        secrets |= {tokens["access_token"], tokens["refresh_token"]}
        customer = mall.anybody.as_(tokens["access_token"])
        await use(mall.anybody, customer, zone.product_id, account, number)
    return secrets


async def use(anybody: Mall, customer: Mall, product: str, account: dict[str, str], number: int) -> None:
    """One customer's requests, some of which are refused."""
    body = {
        "items": [{"product_id": product, "quantity": 1}], "payment": "card",
        "dropoff": {"lat": 1.01, "lon": 2.01, "address": "Door 1"},
    }  # fmt: skip
    status, order, _ = await customer.call("POST", "/api/v2/orders", body, key=f"key-of-log-order-{number}")
    if status == 201:
        payment = {"order_id": order["id"], "token": CARD}
        await customer.call("POST", "/api/v2/payments", payment, key=f"key-of-log-payment-{number}")
    wrong = {"email": account["email"], "password": PASSWORD + "!"}
    await anybody.call("POST", "/api/v2/auth/login", wrong)
    await anybody.as_("no.such.token").call("GET", "/api/v2/orders")
    for _ in range(5):
        await customer.call("GET", "/api/v2/orders")


def written(logs: Path) -> Counter[bytes]:
    """Lines in the files."""
    return Counter(
        line for path in logs.glob("*.log") for line in path.read_bytes().splitlines() if line.strip()
    )


def missing(logs: Path, receiver: Receiver) -> int:
    """Lines that were written and have not arrived."""
    return (written(logs) - receiver.lines).total()


async def secrets_in_database(database_url: str) -> set[str]:
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetch(
            "SELECT peer_secret AS s FROM cluster_meta UNION ALL SELECT private_pem FROM signing_key"
        )
    finally:
        await connection.close()
    return {row["s"] for row in found}


def judge(logs: Path, receiver: Receiver, secrets: set[str]) -> None:
    """All arrived, nothing else did, each line is valid, and no secret is in any."""
    assert missing(logs, receiver) == 0
    assert set(receiver.lines) - set(written(logs)) == set()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    wrong = [(line, e.message) for line in receiver.lines for e in validator.iter_errors(json.loads(line))]
    assert wrong[:3] == []
    text = b"\n".join(receiver.lines).decode()
    assert [secret for secret in secrets if secret in text] == []
    assert re.findall(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+", text) == []


async def test_every_line_of_an_instance_arrives_though_receiver_and_shipper_fail(
    database_url: str, valkey: EmbeddedValkey, short_tmp_path: Path, tmp_path: Path
) -> None:
    async with shipping(tmp_path) as (receiver, shipper, logs), open_http() as http:
        async with logging_server(short_tmp_path / "logged", logs, database_url, valkey) as server:
            await live(server, http, 3)
            assert await until(lambda: receiver.lines.total() > 10, LIMIT_S)
            await receiver.down()
            await shipper.end(signal.SIGKILL)
            await shipper.start()
            [tokens] = await server.mint("customer", 1, "--prefix", "down")
            customer = Mall(http, server.url).as_(tokens["access_token"])
            for _ in range(50):
                await customer.call("GET", "/api/v2/orders")
            await receiver.up()
        assert await until(lambda: missing(logs, receiver) == 0, LIMIT_S)
        judge(logs, receiver, {PASSWORD, tokens["access_token"]} | await secrets_in_database(database_url))


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_every_line_of_four_instances_under_load_arrives(
    database_url: str, valkey: EmbeddedValkey, short_tmp_path: Path, tmp_path: Path
) -> None:
    async with shipping(tmp_path) as (receiver, shipper, logs), open_http() as http:
        folder = short_tmp_path / "four-logged"
        async with (
            logging_server(folder, logs, database_url, valkey, "--instances", "4") as server,
            asyncio.TaskGroup() as tasks,
        ):
            working = tasks.create_task(live(server, http, 120))
            assert await until(lambda: receiver.lines.total() > 100, LIMIT_S)
            await receiver.down()
            held = written(logs).total()
            assert await until(lambda: written(logs).total() > held + 200, LIMIT_S)
            await shipper.end(signal.SIGKILL)
            await shipper.start()
            receiver.refuses = True
            await receiver.up()
            assert await until(lambda: receiver.refused > 2, LIMIT_S)
            receiver.refuses = False
            secrets = await working
        assert await until(lambda: missing(logs, receiver) == 0, LIMIT_S)
        judge(logs, receiver, secrets | await secrets_in_database(database_url))
        print(
            f"written {written(logs).total()}, arrived {receiver.lines.total()}, missing {missing(logs, receiver)}"
        )
        instances = {json.loads(line)["instance"] for line in receiver.lines}
        assert len(instances) >= 5


async def test_lines_come_to_loki_with_few_labels_and_their_trace(tmp_path: Path) -> None:
    """What is pushed has the form of Loki's API; Loki itself has not seen it."""
    receiver, trace = Receiver(), "ab" * 16
    line = json.dumps(
        {
            "event": "answered_request",
            "level": "info",
            "instance": "mall-1",
            "trace_id": trace,
            "said": 'a "b" \\ c, d',
        }
    )
    url = f"http://127.0.0.1:{receiver.port}/lines"
    shipper = Shipper(tmp_path, "loki.conf", {"MALL_LOG_URL": url})
    await receiver.up()
    await shipper.start()
    try:
        assert await until(lambda: connects(5514), LIMIT_S)
        _, writer = await asyncio.open_connection("127.0.0.1", 5514)
        for number in range(3):
            writer.write(f"<30>1 2026-11-30T12:00:0{number}.001234Z host mall 1 mall - {line}\n".encode())
        writer.close()
        assert await until(lambda: bool(receiver.bodies), LIMIT_S)
    finally:
        await shipper.end()
        await receiver.down()
    [first, *_] = json.loads(receiver.bodies[0])["streams"]
    assert first["stream"] == {"app": "mall", "instance": "mall-1", "level": "info"}
    assert first["values"] == [["1796040000001234000", line, {"trace_id": trace}]]


async def connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
