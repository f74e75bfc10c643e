"""A collector of traces on a real socket: OTLP over HTTP, as a real one takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from tests.support.waiting import Arrivals


@dataclass(frozen=True)
class SentSpan:
    """A span as the collector got it. Ids are hexadecimal; `parent` is "" for the first one of a trace."""

    service: str
    instance: str
    name: str
    trace: str
    span: str
    parent: str
    kind: int
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, str | int]
    links: tuple[str, ...]

    @property
    def may_outlive_parent(self) -> bool:
        """True if nobody waits for it: what it is for came in a message or a row."""
        return self.kind == ProtoSpan.SPAN_KIND_CONSUMER or self.name in ("POST webhook", "gateway capture")


@dataclass
class Collector:
    """What was sent. It answers 200, or hangs while `hangs`."""

    url: str = ""
    spans: list[SentSpan] = field(default_factory=list)
    hangs: bool = False
    requests: int = 0
    arrivals: Arrivals = field(default_factory=Arrivals)

    async def take(self, request: web.Request) -> web.Response:
        """Take a batch."""
        self.requests += 1
        if self.hangs:
            await asyncio.Event().wait()
        assert request.headers["Content-Type"] == "application/x-protobuf"
        self.spans += _spans_in(ExportTraceServiceRequest.FromString(await request.read()))
        self.arrivals.tell()
        return web.Response(body=b"", content_type="application/x-protobuf")

    def of(self, trace: str) -> list[SentSpan]:
        """The spans of a trace, in the order in which they began."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began_ns)

    async def until(self, trace: str, *names: str, limit_s: float = 30.0) -> list[SentSpan]:
        """The spans of a trace, once these are among them."""
        try:
            await self.arrivals.until(lambda: set(names) <= {span.name for span in self.of(trace)}, limit_s)
        except TimeoutError:
            raise AssertionError(
                f"{sorted(names)} are not all among {[s.name for s in self.of(trace)]}"
            ) from None
        return self.of(trace)

    async def until_whole(self, trace: str, root: str, limit_s: float = 30.0) -> list[SentSpan]:
        """The spans of a trace, once no parent is missing: each process sends by itself, often the child's first."""

        def orphans() -> list[str]:
            known = {root} | {span.span for span in self.of(trace)}
            return [span.name for span in self.of(trace) if span.parent not in known]

        try:
            await self.arrivals.until(lambda: not orphans(), limit_s)
        except TimeoutError:
            raise AssertionError(f"the parents of {orphans()} never came") from None
        return self.of(trace)


def _spans_in(request: ExportTraceServiceRequest) -> Iterator[SentSpan]:
    for resource in request.resource_spans:
        of = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SentSpan(
                    of["service.name"],
                    of.get("service.instance.id", ""),
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.kind,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.code == 2,
                    {p.key: p.value.string_value or p.value.int_value for p in span.attributes},
                    tuple(link.span_id.hex() for link in span.links),
                )


@asynccontextmanager
async def collecting(*, hangs: bool = False) -> AsyncIterator[Collector]:
    """A collector at a free port."""
    collector = Collector(hangs=hangs)
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()


def faults_of(spans: Collection[SentSpan], root: str, slack_ns: int = 5_000_000) -> list[str]:
    """What is wrong with a trace: parents that nobody sent, and children outside of their parents' time."""
    known = {span.span: span for span in spans}
    found = [f"{s.name} has no parent" for s in spans if s.parent not in known and s.parent != root]
    for span in spans:
        parent = known.get(span.parent)
        if parent is None:
            continue
        if span.began_ns < parent.began_ns - slack_ns:
            found.append(f"{span.name} begins before {parent.name}")
        if not span.may_outlive_parent and span.ended_ns > parent.ended_ns + slack_ns:
            found.append(f"{span.name} ends after {parent.name}")
    return found


def picture(spans: Collection[SentSpan], root: str) -> str:
    """A trace as text: the tree of its spans with begin, duration, service and instance."""
    first_ns = min(span.began_ns for span in spans)

    def lines(parent: str, depth: int) -> Iterator[str]:
        for span in sorted((s for s in spans if s.parent == parent), key=lambda s: s.began_ns):
            began_ms, took_ms = (span.began_ns - first_ns) / 1e6, (span.ended_ns - span.began_ns) / 1e6
            name = "  " * depth + span.name
            yield f"{name:<58} {began_ms:9.1f} {took_ms:8.2f} ms  {span.service} {span.instance}"
            yield from lines(span.span, depth + 1)

    return "\n".join(lines(root, 0))
