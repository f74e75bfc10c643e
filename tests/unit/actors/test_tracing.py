"""Spans of turns: only of traces that are recorded, each ends once, and what a turn causes is under it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from actors.errors import ActorCrashed, NotWritten, WrongOwner
from actors.messages import ActorId, Envelope
from actors.shards import shard_of
from actors.tracing import Span, SpanService, is_recorded, trace_id, traceparent
from tests.support.spans import ListTracer
from tests.support.waiting import until
from tests.unit.actors.test_runtime import staged

TRACE = "0af7651916cd43dd8448eb211c80319c"
CONTEXT = f"{TRACE}-b7ad6b7169203331"


def test_context_is_the_trace_id_with_a_span_behind_it() -> None:
    assert (is_recorded(TRACE), is_recorded(CONTEXT), is_recorded("")) == (False, True, False)
    assert trace_id(TRACE) == trace_id(CONTEXT) == TRACE


def test_traceparent_says_whether_spans_are_recorded() -> None:
    assert traceparent(CONTEXT, lambda: "f" * 32) == f"00-{CONTEXT}-01"
    assert traceparent(TRACE, lambda: "f" * 32) == f"00-{TRACE}-{'f' * 16}-00"


async def test_turn_of_a_trace_that_is_not_recorded_has_no_span() -> None:
    tracer = ListTracer()
    async with staged(tracer) as stage:
        assert await stage.ask("add", trace=TRACE) == 1
    assert tracer.spans == []


async def test_commit_has_a_gate_and_a_flush_under_its_turn() -> None:
    tracer = ListTracer()
    async with staged(tracer) as stage:
        assert await stage.ask("add and tell", trace=CONTEXT) == 1
        await until(lambda: tracer.named("counter str"))
        await until(lambda: len(tracer.named("counter str")) == 2)
    turn, told = tracer.named("counter str")
    [gate], [flush] = tracer.named("gate"), tracer.named("flush")
    assert (turn.parent, gate.parent, flush.parent) == (CONTEXT, turn.trace, gate.trace)
    assert told.parent == turn.trace, "what a turn tells is under it"
    assert flush.service == SpanService.POSTGRES
    assert (
        turn.began_ns <= gate.began_ns <= flush.began_ns <= flush.ended_ns <= gate.ended_ns <= turn.ended_ns
    )


async def test_flush_of_several_traces_is_linked_with_each_of_them() -> None:
    tracer = ListTracer()
    contexts = [f"{n:032x}-{n:016x}" for n in range(1, 4)]
    async with staged(tracer) as stage, asyncio.TaskGroup() as tasks:
        stage.table.hold = asyncio.Event()
        numbers = [n for n in range(1, 200) if shard_of(ActorId("counter", n)) % 2 == 0][:4]
        first = tasks.create_task(stage.ask(f"add {numbers[0]}", numbers[0]))
        await until(lambda: stage.table.batches)
        rest = [
            tasks.create_task(stage.ask(f"add {n}", n, trace=trace))
            for n, trace in zip(numbers[1:], contexts, strict=True)
        ]
        await until(lambda: len(stage.runtime.lanes[0]) == 3)
        stage.table.hold.set()
        assert [await task for task in (first, *rest)] == [1] * 4
    [flush], gates = tracer.named("flush"), tracer.named("gate")
    others = [gate for gate in gates if gate.trace != flush.parent]
    assert sorted(flush.links) == sorted(gate.trace for gate in others)
    assert [gate.links for gate in others] == [(flush.trace,)] * 2
    assert {trace_id(gate.trace) for gate in gates} == {trace_id(context) for context in contexts}


async def test_turn_that_is_decided_again_has_one_span_and_each_flush_its_own() -> None:
    tracer, failures = ListTracer(), iter([NotWritten("again", transient=True)])

    def fault(items: Sequence[Mapping[str, Any]]) -> None:
        for error in failures:
            raise error

    async with staged(tracer) as stage:
        stage.table.fault = fault
        assert await stage.ask("add", trace=CONTEXT) == 1
    assert len(tracer.named("counter str")) == 1
    assert [flush.failed for flush in tracer.named("flush")] == ["NotWritten", ""]


async def test_turn_that_crashes_has_a_span_that_failed() -> None:
    tracer = ListTracer()
    async with staged(tracer) as stage:
        with pytest.raises(ActorCrashed):
            await stage.ask("boom", trace=CONTEXT)
    [span] = tracer.spans
    assert (span.failed, span.parent) == ("ActorCrashed", CONTEXT)


@pytest.mark.parametrize(
    ("end", "failed"),
    [
        (lambda envelope: envelope.answer(1), ""),
        (lambda envelope: envelope.fail(WrongOwner()), "WrongOwner"),
        (lambda envelope: envelope.left_owner(), "left its owner"),
    ],
    ids=["answer", "fail", "left_owner"],
)
def test_span_of_an_envelope_ends_once_however_that_ends(end: Any, failed: str) -> None:
    tracer = ListTracer()
    envelope = Envelope(ActorId("counter", 1), "add", 9.0, trace=CONTEXT)
    envelope.span = tracer.begin(SpanService.OWNER, "x", CONTEXT)
    end(envelope)
    end(envelope)
    assert [span.failed for span in tracer.spans] == [failed]


def test_span_that_ends_with_a_block_says_what_the_block_raised() -> None:
    tracer = ListTracer()

    def fail(span: Span) -> None:
        with span.running():
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail(tracer.begin(SpanService.OWNER, "x", CONTEXT))
    assert [span.failed for span in tracer.spans] == ["KeyError"]
