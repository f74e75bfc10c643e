"""One trace over five services and two instances, by real OTLP, as a trusted proxy has asked for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import orjson
import pytest
from aiohttp import web
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from actors.shards import shard_of
from dispatch.order_actor import order_ref
from loadtests.kit.client import Mall, Phone
from loadtests.kit.fixtures import number_of, open_zone, order_body
from tests.acceptance.two_instances.cluster import TwoInstances
from tests.support.collector import Collector, collecting, faults_of, picture
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import seconds_until

TRIES = 40
ROOT_SPAN = "b7ad6b7169203331"
SERVICES = {"mall-edge", "mall-owner", "postgresql", "mall-jobs", "webhook-receiver"}
_numbers = itertools.count(1)


def new_trace() -> str:
    """A trace id of which the last 32 bits are far above any threshold."""
    return f"{next(_numbers):024x}ffffffff"


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
async def gateway() -> AsyncIterator[Receiver]:
    """A payment gateway that does whatever it is asked."""

    async def answer(request: web.Request, number: int) -> web.StreamResponse:
        if request.path.endswith("/holds"):
            return web.json_response({"id": f"hold_{number}", "status": "held"}, status=201)
        return web.json_response({"status": "captured"})

    async with receiving(answer) as gateway:
        gateway.url = gateway.url.removesuffix("/hook")
        yield gateway


@pytest.fixture(scope="module")
async def cluster_settings(collector: Collector, gateway: Receiver) -> Mapping[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "MALL_TRACE_SHARE": "0",
        "MALL_TRUSTED_PROXIES": "127.0.0.1/32",
        "MALL_GATEWAY_URL": gateway.url,
        "MALL_WORK": "on",
        "MALL_LOG_LEVEL": "info",
        "MALL_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "MALL_SECRETS_KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
        "MALL_SMTP_URL": "sandbox",
        # One order after the other is placed until the other instance owns one: of five, one in 32 times none.
        "MALL_UNPAID_ORDERS_MAX": str(TRIES + 10),
    }


@pytest.fixture(scope="module")
async def receiver(collector: Collector) -> AsyncIterator[Receiver]:
    """A receiver of webhooks that records a span of its own, as receivers with OpenTelemetry do."""
    provider = TracerProvider(resource=Resource.create({"service.name": "webhook-receiver"}))
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    tracer = provider.get_tracer("receiver")

    async def answer(request: web.Request, number: int) -> web.StreamResponse:
        context = TraceContextTextMapPropagator().extract(dict(request.headers))
        with tracer.start_as_current_span("POST /hook", context, otel.SpanKind.SERVER):
            return web.Response(status=204)

    async with receiving(answer) as receiver:
        yield receiver


class Traced:
    """Calls of somebody whose traceparent our proxy has set: recorded, or not."""

    def __init__(self, mall: Mall, trace: str, flags: str = "01") -> None:
        self._mall = mall
        self._header = f"00-{trace}-{ROOT_SPAN}-{flags}"

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = ""
    ) -> tuple[int, dict[str, Any], str]:
        """Status, answer and trace id."""
        headers = {"Authorization": f"Bearer {self._mall.token}", "traceparent": self._header}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        url, data = self._mall.url + path, None if body is None else orjson.dumps(body)
        async with self._mall.http.request(method, url, data=data, headers=headers) as response:
            return response.status, await response.json(), response.headers["X-Trace-ID"]


async def placed_here_owned_there(
    cluster: TwoInstances, customer: Mall, body: dict[str, Any], flags: str = "01"
) -> tuple[str, str]:
    """An order that was placed at the first instance and that the second one owns, and its trace id."""
    other = cluster.servers[1].environ["MALL_INSTANCE"]
    for number in range(TRIES):
        trace = new_trace()
        key = f"order-{trace}-{number}"
        status, order, said = await Traced(customer, trace, flags).call(
            "POST", "/api/v2/orders", body, key=key
        )
        assert (status, said) == (201, trace), order
        shard = shard_of(order_ref(number_of(order["id"])))
        if await cluster.database.fetchval("SELECT owner FROM shard WHERE id = $1", shard) == other:
            return order["id"], trace
    raise AssertionError("the second instance owns no shard")


def lines_of(cluster: TwoInstances, number: int, trace: str) -> list[dict[str, Any]]:
    """Log lines of an instance under this trace id."""
    lines = cluster.servers[number].log_path.read_bytes().splitlines()
    found = [json.loads(line) for line in lines if trace.encode() in line]
    return [line for line in found if line.get("trace_id") == trace]


async def test_order_that_is_placed_paid_and_delivered_is_one_trace_over_five_services(
    cluster: TwoInstances, collector: Collector, receiver: Receiver, gateway: Receiver
) -> None:
    zone = await open_zone(cluster.admin, "Traced", "waves")
    hook = await cluster.admin.do("POST", "/api/v2/webhooks", {"url": receiver.url, "description": "till"})
    receiver.secrets = [hook["secret"]]
    [minted] = await cluster.servers[0].mint("driver", 1, "--zone", zone.id, "--capacity", "9")
    driver = cluster.one.as_(minted["access_token"])
    phone, customer = Phone(driver), cluster.one.as_((await cluster.person())["access_token"])
    body = order_body(zone.products) | {"payment": "card"}
    order, trace = await placed_here_owned_there(cluster, customer, body)
    async with phone.connected():
        await phone.ask({"t": "availability", "key": "traced-online", "status": "online"})
        asked = {"order_id": order, "token": "tok_success"}
        status, paid, _ = await Traced(customer, trace).call(
            "POST", "/api/v2/payments", asked, key=f"pay-{trace}"
        )
        assert (status, paid["status"]) == (201, "held"), paid

        async def won() -> bool:
            status, answer, said = await Traced(driver, trace).call(
                "POST", f"/api/v2/orders/{order}/acceptance", key=f"accept-{trace}"
            )
            assert said == trace
            return status == 200 and answer["result"] == "won"

        await seconds_until(won, 30)
        for step in ("pickup", "delivery"):
            status, answer, _ = await Traced(driver, trace).call("POST", f"/api/v2/orders/{order}/{step}")
            assert status == 200, answer
    await collector.until(
        trace, "order Deliver", "relay order.delivered", "gateway capture", "job notify_order",
        "relay payment.captured",
    )  # fmt: skip

    async def all_received() -> bool:
        got = [s for s in collector.of(trace) if s.name == "POST /hook"]
        return len(got) >= len([s for s in collector.of(trace) if s.name == "POST webhook"]) > 0

    await seconds_until(all_received, 30)
    spans = await collector.until_whole(trace, ROOT_SPAN)
    print("\n" + picture(spans, ROOT_SPAN))
    assert {span.service for span in spans} == SERVICES
    assert faults_of(spans, ROOT_SPAN) == []
    by_name = {span.name: span for span in spans}
    edge, owner = (server.environ["MALL_INSTANCE"] for server in cluster.servers)
    delivery = by_name["POST /api/v2/orders/{id}/delivery"]
    assert (delivery.service, delivery.instance, delivery.parent) == ("mall-edge", edge, ROOT_SPAN)
    assert (by_name["order Deliver"].instance, by_name["order Deliver"].parent) == (owner, delivery.span)
    flush = next(s for s in spans if s.name == "flush" and s.instance == owner)
    assert (flush.service, {g.span: g.name for g in spans}[flush.parent]) == ("postgresql", "gate")
    # The same id everywhere, and never with a span behind it.
    history = (await cluster.admin.do("GET", f"/api/v2/orders/{order}/events"))["items"]
    assert {entry["trace_id"] for entry in history if entry["by"]["role"] != "system"} == {trace}
    assert all(len(entry["trace_id"]) == 32 for entry in history)
    rows = await cluster.database.fetch(
        "SELECT trace FROM order_events WHERE order_id = $1", number_of(order)
    )
    assert {row["trace"][:32] for row in rows} >= {trace}
    assert lines_of(cluster, 0, trace)
    assert lines_of(cluster, 1, trace)
    assert all(
        len(line.get("span_id", "")) in (0, 16) for n in (0, 1) for line in lines_of(cluster, n, trace)
    )
    holds = [h["traceparent"] for h in gateway.headers]
    sent = {s.span for s in spans if s.name.startswith("gateway")}
    assert {header.split("-")[2] for header in holds if trace in header} == sent
    assert all(
        orjson.loads(event)["data"]["trace_id"] == trace
        for _, event, _ in receiver.got
        if order.encode() in event
    )
    # A twin that fails tells the same id.
    status, problem, said = await Traced(customer, trace).call(
        "POST", "/api/v2/payments", asked, key=f"pay-{trace}-twin"
    )
    assert (status, problem["trace_id"], said) == (409, trace, trace)
    jobs = (await cluster.admin.do("GET", f"/api/v2/jobs?trace_id={trace}"))["items"]
    assert all(job["trace_id"] == trace for job in jobs)
    code, story = await cluster.command("trace", trace, "--json")
    places = {(entry["where"], entry["what"]) for entry in json.loads(story)["entries"]}
    assert {
        ("order_events", "delivered"),
        ("event_log", "order.delivered"),
        ("payments", "captured"),
    } <= places
    assert code == 0


async def test_trace_that_nobody_has_asked_for_has_no_spans(
    cluster: TwoInstances, collector: Collector
) -> None:
    zone = await open_zone(cluster.admin, "Untraced", "waves")
    customer = cluster.one.as_((await cluster.person())["access_token"])
    order, quiet = await placed_here_owned_there(cluster, customer, order_body(zone.products), flags="00")
    _, loud = await placed_here_owned_there(cluster, customer, order_body(zone.products))
    await collector.until(loud, "POST /api/v2/orders", "relay order.created")
    assert collector.of(quiet) == []
    rows = await cluster.database.fetch(
        "SELECT trace FROM order_events WHERE order_id = $1", number_of(order)
    )
    assert quiet in {row["trace"] for row in rows}


async def test_request_that_fails_has_a_span_and_a_slow_query_says_whose_it_was(
    cluster: TwoInstances, collector: Collector
) -> None:
    """Another program holds the row of a product, so that no order for it can be written."""
    zone = await open_zone(cluster.admin, "Locked", "waves", stock=100)
    customer = cluster.one.as_((await cluster.person())["access_token"])
    holder = await asyncpg.connect(cluster.servers[0].environ["DATABASE_URL"])
    trace = new_trace()
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM products WHERE id = $1 FOR UPDATE", number_of(zone.products[0]))
            status, problem, said = await Traced(customer, trace, "00").call(
                "POST", "/api/v2/orders", order_body(zone.products), key=f"locked-{trace}"
            )
    finally:
        await holder.close()
    assert (status, problem["trace_id"], said) == (503, trace, trace)
    [span] = await collector.until(trace, "POST /api/v2/orders")
    assert (span.service, span.failed, span.parent) == ("mall-edge", True, ROOT_SPAN)
    assert span.attributes["http.response.status_code"] == 503
    assert span.ended_ns - span.began_ns > 1e9
    slow = [line for line in lines_of(cluster, 0, trace) if line["event"] == "ran_slow_query"]
    assert slow
    assert {line["query"] for line in slow} == {"create_orders"}


async def test_spans_are_counted_and_nothing_was_dropped(cluster: TwoInstances) -> None:
    async with cluster.one.http.get(cluster.servers[0].ops_url + "/metrics") as answer:
        text = await answer.text()
    counts = {
        line.split('"')[1]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("mall_spans_total{")
    }
    assert counts["exported"] > 0
    assert (counts["failed"], counts["dropped"]) == (0, 0)
