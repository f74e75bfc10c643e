"""One trace id from a request at one instance to the owner of its order, its history, jobs, a mail and a webhook."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from actors.shards import shard_of
from dispatch.order_actor import order_ref
from loadtests.kit.client import Mall, Phone
from loadtests.kit.fixtures import number_of, open_zone, order_body
from tests.acceptance.two_instances.cluster import TwoInstances
from tests.support.mail_server import MailServer
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import seconds_until

LIMIT_S = 60.0
TRIES = 40


# What the story has of each step, when all of it has happened.
STORY = {
    ("edge", "got_request"), ("edge", "answered_request"), ("owner", "changed_order"), ("history", "created"),
    ("event", "order.created"), ("job", "ended_job"), ("job", "done"), ("mail", "sent_notice"), ("mail", "sent"),
    ("webhook", "204"),
}  # fmt: skip


@pytest.fixture(scope="module")
def mail_server() -> MailServer:
    """Not started yet: its address is in the settings of the instances."""
    return MailServer()


@pytest.fixture(scope="module")
def cluster_settings(mail_server: MailServer) -> Mapping[str, str]:
    """Each instance has a worker, and logs what goes well, too."""
    return {
        "MALL_WORK": "on",
        "MALL_LOG_LEVEL": "info",
        "MALL_SMTP_URL": mail_server.url,
        "MALL_MAIL_FROM": "no-reply@mall.example",
        "MALL_SECRETS_KEY": base64.b64encode(b"k" * 32).decode(),
        "MALL_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }


@pytest.fixture
async def smtp(mail_server: MailServer) -> AsyncIterator[MailServer]:
    await mail_server.start()
    yield mail_server
    await mail_server.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def traces_of(receiver: Receiver) -> set[str]:
    """The trace ids of the requests that a receiver has got (W3C Trace Context: version, trace id, span, flags)."""
    return {headers["traceparent"].split("-")[1] for headers in receiver.headers}


async def owned_by_the_other(cluster: TwoInstances, customer: Mall, body: dict[str, Any]) -> tuple[str, str]:
    """An order that the first instance has accepted and the second one owns, and the trace id of its request."""
    other = cluster.servers[1].environ["MALL_INSTANCE"]
    for number in range(TRIES):
        key = f"order-to-be-traced-{number}"
        status, order, headers = await customer.call("POST", "/api/v2/orders", body, key=key)
        assert status == 201, order
        shard = shard_of(order_ref(number_of(order["id"])))
        if await cluster.database.fetchval("SELECT owner FROM shard WHERE id = $1", shard) == other:
            return order["id"], headers["X-Trace-ID"]
    raise AssertionError("the second instance owns no shard")


def logged(path: Path, trace: str) -> set[tuple[str, str]]:
    """Which instances have logged which events with this trace id."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if trace in line]
    return {(line["instance"], line["event"]) for line in lines if line["trace_id"] == trace}


@pytest.mark.timeout(300)
async def test_one_order_has_one_trace_in_six_places_and_one_command_finds_it(
    cluster: TwoInstances, smtp: MailServer, receiver: Receiver
) -> None:
    hook = {"url": receiver.url, "types": ["order.created"]}
    receiver.secrets = [(await cluster.admin.do("POST", "/api/v2/webhooks", hook))["secret"]]
    zone = await open_zone(cluster.admin, "Traced", "waves")
    [driver] = await cluster.servers[0].mint("driver", 1, "--zone", zone.id, "--capacity", "20")
    phone = Phone(cluster.one.as_(driver["access_token"]))
    person = await cluster.person()
    customer = cluster.one.as_(person["access_token"])
    edge, owner = (server.environ["MALL_INSTANCE"] for server in cluster.servers)
    logs = [server.log_path for server in cluster.servers]
    async with phone.connected():
        await phone.ask({"t": "availability", "key": "traced-online", "status": "online"})
        order, trace = await owned_by_the_other(cluster, customer, order_body(zone.products))
        await smtp.arrivals.until(lambda: trace in {mail["X-Trace-Id"] for mail in smtp.mails}, LIMIT_S)
        await receiver.arrivals.until(lambda: trace in traces_of(receiver), LIMIT_S)
        entries: list[dict[str, Any]] = []

        async def told() -> bool:
            code, said = await cluster.command("trace", trace, "--json", "--logs", *map(str, logs))
            assert code in (0, 1), said
            entries[:] = json.loads(said)["entries"]
            return code == 0 and {(entry["step"], entry["what"]) for entry in entries} >= STORY

        await seconds_until(told, LIMIT_S)
    number = number_of(order)
    # The six places themselves, and not what the command says of them.
    assert (edge, "answered_request") in logged(logs[0], trace)
    assert (owner, "changed_order") in logged(logs[1], trace)
    history = await cluster.database.fetch("SELECT type, trace FROM order_events WHERE order_id = $1", number)
    assert ("created", trace) in [tuple(row) for row in history]
    told_by_workers = logged(logs[0], trace) | logged(logs[1], trace)
    assert {event for name, event in told_by_workers if "worker" in name} >= {"ended_job", "sent_notice"}
    [mail] = [mail for mail in smtp.mails if mail["X-Trace-Id"] == trace]
    assert (mail["To"], order in str(mail["Subject"])) == (person["email"], True)
    [headers] = [headers for headers in receiver.headers if trace in headers["traceparent"]]
    assert receiver.forged == []
    # The command has found them: each step where it happened, in the order of time.
    places = {entry["step"]: entry["where"] for entry in entries}
    assert (places["edge"], places["owner"], places["history"]) == (edge, owner, "order_events")
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    steps = [entry["step"] for entry in entries]
    assert steps[0] == "edge"
    assert steps.index("history") < min(steps.index(step) for step in ("owner", "job", "mail", "webhook"))
    [hook_told] = [entry for entry in entries if entry["step"] == "webhook"]
    assert hook_told["facts"]["message"] == headers["webhook-id"]
    _, table = await cluster.command("trace", trace, "--logs", *map(str, logs))
    words = [line.split()[:4] for line in table.splitlines()]
    assert words == [[entry[name] for name in ("at", "step", "where", "what")] for entry in entries]


async def test_trace_that_nobody_knows_and_a_log_that_is_not_there_are_said(cluster: TwoInstances) -> None:
    code, said = await cluster.command("trace", "e" * 32)
    assert (code, said) == (1, f"Nothing is known of {'e' * 32}.\n")
    code, said = await cluster.command("trace", "e" * 32, "--logs", "/nowhere/server.log")
    assert (code, said) == (2, "Cannot read the log /nowhere/server.log: No such file or directory\n")
