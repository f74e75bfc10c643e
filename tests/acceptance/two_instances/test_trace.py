"""One trace id from a request at one instance to the owner of its order, the tables, and a job of a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from actors.shards import shard_of
from dispatch.order_actor import order_ref
from loadtests.kit.client import Mall, Phone
from loadtests.kit.fixtures import number_of, open_zone, order_body
from tests.acceptance.two_instances.cluster import TwoInstances
from tests.support.waiting import seconds_until

LIMIT_S = 60.0
TRIES = 40


@pytest.fixture(scope="module")
def cluster_settings() -> Mapping[str, str]:
    """Each instance has a worker, and logs what goes well, too."""
    return {"MALL_WORK": "on", "MALL_LOG_LEVEL": "info"}


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


async def test_one_command_tells_an_order_from_its_request_to_its_job(cluster: TwoInstances) -> None:
    zone = await open_zone(cluster.admin, "Traced", "waves")
    [driver] = await cluster.servers[0].mint("driver", 1, "--zone", zone.id, "--capacity", "20")
    phone = Phone(cluster.one.as_(driver["access_token"]))
    customer = cluster.one.as_((await cluster.person())["access_token"])
    async with phone.connected():
        await phone.ask({"t": "availability", "key": "traced-online", "status": "online"})
        order, trace = await owned_by_the_other(cluster, customer, order_body(zone.products))
        # A job that ends soon, beside those that follow from the order: what counts is that it has the trace id.
        job = json.dumps([{"task": "trim_sessions", "payload": {}, "trace": trace}])
        await cluster.database.execute("SELECT enqueue_jobs($1)", job)
        logs = [str(server.log_path) for server in cluster.servers]
        entries: list[dict[str, Any]] = []

        async def told() -> bool:
            code, said = await cluster.command("trace", trace, "--json", "--logs", *logs)
            entries[:] = json.loads(said)["entries"]
            seen = {entry["what"] for entry in entries}
            return code == 0 and {"changed_order", "order.created", "ended_job", "done"} <= seen

        await seconds_until(told, LIMIT_S)
    edge, owner = (server.environ["MALL_INSTANCE"] for server in cluster.servers)
    places = {(entry["where"], entry["what"]) for entry in entries}
    assert {
        ("order_events", "created"),
        ("event_log", "order.created"),
        (edge, "answered_request"),
        (owner, "changed_order"),
        ("job_runs", "done"),
    } <= places
    workers = {entry["where"] for entry in entries if entry["what"] == "ended_job"}
    assert all("worker" in worker for worker in workers)
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    _, table = await cluster.command("trace", trace, "--logs", *logs)
    assert sum(f"order_id={order}" in line for line in table.splitlines()) >= 4


async def test_trace_that_nobody_knows_and_a_log_that_is_not_there_are_said(cluster: TwoInstances) -> None:
    code, said = await cluster.command("trace", "e" * 32)
    assert (code, said) == (1, f"Nothing is known of {'e' * 32}.\n")
    code, said = await cluster.command("trace", "e" * 32, "--logs", "/nowhere/server.log")
    assert (code, said) == (2, "Cannot read the log /nowhere/server.log: No such file or directory\n")
