"""The cluster's status: put together from what instances answer or do not, shown as HTML, counted for Prometheus."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as Counted

from actors import cell_table
from actors.behaviour import Commit, Done, Outcome, Step, newest_wins
from actors.clock import LoopClock, SystemRandomness
from actors.cluster.codec import Codec
from actors.cluster.leases import ACTIVE, JOINING, Member
from actors.cluster.node import Cluster
from actors.cluster.transport import Ended, Greeting, Link, LinkLost, Receive
from actors.counters import Samples
from actors.messages import ActorId, Emit, Turn
from actors.runtime import Runtime
from actors.shards import SHARD_COUNT
from api.http.accept import prefers_html
from api.http.services import Services
from api.ops import RuntimeCollector, status
from api.ops.cluster_status import ClusterView, Silent, ask_all, merge, read_report
from api.ops.exposition_format import exposition
from api.ops.html_tables import POLICY
from api.ops.instance_status import Census, census, residents
from api.ops.status_html import render
from dispatch.order_progress import OrderProgress
from storage.memory.journal import MemoryJournal
from storage.memory.leases import LeaseTable, MemoryLeases
from tests.support.waiting import until

ONE, TWO, THREE = "mall-1.aaa", "mall-2.bbb", "mall-3.ccc"
LOWER, UPPER = range(128), range(128, SHARD_COUNT)
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>&"


def member(incarnation: str, state: str = ACTIVE) -> Member:
    return Member(incarnation.rpartition(".")[0], incarnation, "127.0.0.1:7000", state, "1.0")


def view(*others: str, owners: Mapping[int, str] | None = None, epoch: int = 1) -> ClusterView:
    believed = owners or {}
    return ClusterView(
        me=ONE,
        members={incarnation: member(incarnation) for incarnation in (ONE, *others)},
        holders=[believed.get(shard, "") for shard in range(SHARD_COUNT)],
        owners=[believed.get(shard, "") for shard in range(SHARD_COUNT)],
        epochs=[epoch] * SHARD_COUNT,
        tick_age_s=0.5,
    )


def answer(incarnation: str, owned: Sequence[int], *, epoch: int = 1, **changes: Any) -> dict[str, Any]:
    """The status of an instance, as it comes over the line."""
    return {
        "instance": incarnation.rpartition(".")[0],
        "incarnation": incarnation,
        "member": {"state": ACTIVE, "address": "127.0.0.1:7000", "version": "1.0"},
        "lease": {"state": "leased", "margin_s": 3.0, "ticks_failed": 0},
        "shards": {"owned": len(owned), "epochs": {str(s): epoch for s in owned}} | changes.pop("shards", {}),
        "actors": {"kinds": {"order": 2, "driver": 1}, "states": {"ready": 3}},
        "hottest": [{"actor": "order:1", "turns": 5}],
        "mailboxes": [{"actor": "order:1", "waiting": 2, "state": "ready"}],
        "gate": {"pending": 1, "oldest_s": 0.1},
        "handovers": {"count": 8, "failed": 1, "under_way": 0, "buried": 1, "s_p50": 0.01, "s_p99": 0.02},
        "forwarding": {"forwarded": 3, "under_way": 0, "waiting": 0},
        "doubts": {"waited": 1, "stale": 0},
        "sessions": 4,
        **changes,
    }


def both() -> dict[str, Any]:
    return {ONE: answer(ONE, LOWER), TWO: answer(TWO, UPPER)}


def shard_of_map(merged: Mapping[str, Any], shard: int) -> dict[str, Any]:
    found: dict[str, Any] = merged["shards"]["map"][shard]
    return found


# -- putting together -----------------------------------------------------------------------------


def test_every_shard_is_shown_with_its_owner_epoch_and_lease() -> None:
    merged = merge(view(TWO, owners=dict.fromkeys(UPPER, TWO)), both())
    assert [s["shard"] for s in merged["shards"]["map"]] == list(range(256))
    assert shard_of_map(merged, 200) == {
        "shard": 200, "owner": "mall-2", "incarnation": TWO, "epoch": 1, "lease": TWO, "state": "served",
    }  # fmt: skip
    assert merged["shards"]["served"] == 256
    assert [(m["instance"], m["shards_owned"]) for m in merged["members"]] == [
        ("mall-1", 128),
        ("mall-2", 128),
    ]
    assert (merged["answered"], merged["silent"]) == (2, 0)


def test_of_two_who_claim_a_shard_the_one_with_the_higher_epoch_is_shown() -> None:
    merged = merge(view(TWO), {ONE: answer(ONE, [7], epoch=4), TWO: answer(TWO, [7], epoch=3)})
    shard = shard_of_map(merged, 7)
    assert (shard["incarnation"], shard["epoch"], shard["also_claimed_by"]) == (ONE, 4, [TWO])


def test_shard_on_its_way_is_shown_as_handed_over() -> None:
    answers = {
        ONE: answer(ONE, [1, 2], shards={"leaving": [1]}),
        TWO: answer(TWO, [], shards={"arriving": [3]}),
    }
    merged = merge(view(TWO), answers)
    assert [shard_of_map(merged, s)["state"] for s in (1, 2, 3)] == ["handed_over", "served", "handed_over"]
    assert shard_of_map(merged, 3)["owner"] == "mall-2"


def test_shard_that_nobody_claims_is_nobodys_whatever_was_believed_before() -> None:
    merged = merge(view(owners={9: "mall-9.gone", 10: ONE}), {ONE: answer(ONE, [])})
    for shard in (9, 10):
        assert shard_of_map(merged, shard)["state"] == "nobody"
        assert shard_of_map(merged, shard)["owner"] == ""
    assert merged["shards"]["nobody"] == 256


def test_silent_instance_is_shown_with_its_reason_and_what_it_is_believed_to_serve() -> None:
    believed = view(TWO, owners=dict.fromkeys(UPPER, TWO), epoch=5)
    merged = merge(believed, {ONE: answer(ONE, LOWER), TWO: Silent("no answer within 1 s")})
    silent = merged["members"][1]
    assert (silent["answered"], silent["reason"], silent["shards_owned"]) == (
        False,
        "no answer within 1 s",
        128,
    )
    assert "lease" not in silent, "nothing is made up about it"
    assert shard_of_map(merged, 200)["state"] == "unknown"
    assert shard_of_map(merged, 200)["epoch"] == 5
    assert (merged["answered"], merged["silent"], merged["shards"]["served"]) == (1, 1, 128)


def test_shard_of_a_silent_instance_that_somebody_else_has_claimed_is_his() -> None:
    believed = view(TWO, owners=dict.fromkeys(UPPER, TWO))
    merged = merge(believed, {ONE: answer(ONE, [200], epoch=6), TWO: Silent("no line")})
    assert (shard_of_map(merged, 200)["owner"], shard_of_map(merged, 200)["state"]) == ("mall-1", "served")


@pytest.mark.parametrize(
    "garbage",
    [
        None, [], "well", 7, {}, {"shards": 3}, {"instance": "x", "shards": {"epochs": {"one": 1}}},
        {"instance": "x", "shards": {"epochs": [1]}}, answer(TWO, UPPER, hottest=[{"actor": "a"}]),
        answer(TWO, UPPER, lease={"margin_s": "long"}), answer(TWO, UPPER, forwarding={"forwarded": None}),
        answer(TWO, UPPER, sessions=float("inf")),
    ],
)  # fmt: skip
def test_answer_that_cannot_be_read_is_no_error_of_the_whole(garbage: Any) -> None:
    merged = merge(view(TWO), {ONE: answer(ONE, LOWER), TWO: garbage})
    assert merged["members"][1]["reason"] == "its answer cannot be read"
    assert merged["shards"]["served"] == 128


def test_instance_of_a_version_that_says_less_is_read_all_the_same() -> None:
    older = {"instance": "mall-2", "incarnation": TWO, "shards": {"owned": 1, "epochs": {"200": 3}}}
    merged = merge(view(TWO), {ONE: answer(ONE, LOWER), TWO: older})
    assert merged["members"][1]["answered"]
    assert merged["members"][1]["address"] == "127.0.0.1:7000", "its record says it"
    assert shard_of_map(merged, 200)["owner"] == "mall-2"


def test_state_that_an_instance_says_of_itself_counts_more_than_its_record() -> None:
    joining = answer(TWO, [], member={"state": JOINING, "address": "x:1", "version": "2.0"})
    merged = merge(view(TWO), {ONE: answer(ONE, LOWER), TWO: joining})
    assert merged["members"][1]["state"] == JOINING


def test_hottest_actors_and_deepest_mailboxes_are_the_top_twenty_of_all() -> None:
    rows = [[{"actor": f"order:{i}", "turns": i} for i in range(start, 40, 2)] for start in (0, 1)]
    full = [{"actor": "driver:1", "waiting": 9, "state": "flushing"}]
    answers = {
        ONE: answer(ONE, LOWER, hottest=rows[0]),
        TWO: answer(TWO, UPPER, hottest=rows[1], mailboxes=full),
    }
    merged = merge(view(TWO), answers)
    assert [row["turns"] for row in merged["hottest"]] == list(range(39, 19, -1))
    assert merged["hottest"][0] == {"instance": "mall-2", "actor": "order:39", "turns": 39}
    assert merged["mailboxes"][0] == {"instance": "mall-2", "actor": "driver:1", "waiting": 9}


def test_counters_are_summed_and_of_ages_the_worst_is_shown() -> None:
    slow = {"count": 2, "failed": 0, "under_way": 3, "buried": 0, "s_p50": 0.5, "s_p99": 0.7}
    answers = {
        ONE: answer(ONE, LOWER),
        TWO: answer(TWO, UPPER, handovers=slow, gate={"pending": 2, "oldest_s": 1.5}),
    }
    merged = merge(view(TWO), answers)
    assert merged["handovers"] == {
        "count": 10, "failed": 1, "under_way": 3, "buried": 1, "s_p50_worst": 0.5, "s_p99_worst": 0.7,
    }  # fmt: skip
    assert merged["gate"] == {"pending": 3, "oldest_s": 1.5}
    assert merged["forwarding"] == {"forwarded": 6, "under_way": 0, "waiting": 0}
    assert merged["doubts"] == {"waited": 2, "stale": 0}


# -- asking ---------------------------------------------------------------------------------------


class Lines:
    """Peers that answer when all have been asked; `faults` are raised instead."""

    def __init__(self, count: int, faults: Mapping[str, Exception] | None = None) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self._all = asyncio.Event()
        self._count = count
        self._faults = faults or {}

    async def call(self, incarnation: str, name: str, value: Any, wait_s: float) -> Any:
        self.asked.append((incarnation, name, wait_s))
        if len(self.asked) == self._count:
            self._all.set()
        async with asyncio.timeout(10):
            await self._all.wait()
        if incarnation in self._faults:
            raise self._faults[incarnation]
        return {"from": incarnation}


async def test_all_peers_are_asked_at_the_same_time_with_the_deadline() -> None:
    lines = Lines(3)
    answers = await ask_all(lines, [ONE, TWO, THREE], wait_s=0.25)
    assert answers == {i: {"from": i} for i in (ONE, TWO, THREE)}
    assert sorted(lines.asked) == [(i, "status", 0.25) for i in (ONE, TWO, THREE)]


async def test_peer_that_does_not_answer_is_silent_and_the_others_are_heard() -> None:
    lines = Lines(3, {TWO: TimeoutError(), THREE: LinkLost("no line")})
    assert await ask_all(lines, [ONE, TWO, THREE], wait_s=1.0) == {
        ONE: {"from": ONE},
        TWO: Silent("no answer within 1 s"),
        THREE: Silent("no line"),
    }


# -- the page -------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.style = ""
        self._in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        self.text.append(data)


def shown(*answers: Any, **changes: Any) -> dict[str, Any]:
    found = dict(zip((ONE, TWO), answers, strict=False)) or both()
    return {"asked": "mall-1", "took_s": 0.01, **merge(view(TWO), found), **changes}


def hostile(value: Any, key: str = "") -> Any:
    """The same with every text replaced by one that would break out of a page."""
    if isinstance(value, dict):
        return {name: hostile(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [hostile(part) for part in value]
    return HOSTILE if isinstance(value, str) else value


def test_page_shows_members_shards_actors_and_who_is_silent() -> None:
    page = Tags(render(shown(answer(ONE, LOWER), Silent("no answer within 1 s"))))
    text = " ".join(page.text)
    for expected in (
        "mall-1.aaa",
        "mall-2.bbb",
        "order:1",
        "no answer within 1 s",
        "1 did not",
        "128 served",
    ):
        assert expected in text


def test_nothing_that_anybody_says_becomes_markup() -> None:
    safe, attacked = Tags(render(shown())), render(hostile(shown(also=HOSTILE)))
    page = Tags(attacked)
    assert page.found == safe.found
    assert page.attributes == safe.attributes
    assert "<img" not in attacked
    assert "<script" not in attacked
    assert HOSTILE in " ".join(page.text), "it is shown as the text that it is"


def test_names_of_counters_are_text_too() -> None:
    attacked = answer(TWO, UPPER, forwarding={HOSTILE: 1})
    page = render(shown(answer(ONE, LOWER), attacked))
    assert "<img" not in page
    assert "&lt;img" in page


def test_page_needs_nothing_from_elsewhere_and_its_policy_allows_nothing_else() -> None:
    page = render(shown())
    for forbidden in ("http:", "https:", "src=", 'href="//', "url(", "@import", "<script", "style="):
        assert forbidden not in page
    assert page.count("href=") == page.count('href="/') > 0, "links lead to pages of the same port"
    digest = b64encode(sha256(Tags(page).style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert "default-src 'none'" in POLICY


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False), ("*/*", False), ("application/json", False), ("text/html", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html, */*", True), ("application/json, text/html", False),
        ("text/html;q=0.4, application/json;q=0.5", False), ("TEXT/HTML;Q=1", True),
        ("text/html;q=0", False), ("text/html;q=high", False), ("text/*", True), (",;=,", False),
    ],
)  # fmt: skip
def test_html_is_for_who_prefers_it(accept: str, expected: bool) -> None:
    assert prefers_html(accept) is expected


# -- the own status -------------------------------------------------------------------------------


class Bell:
    """An actor that answers `look` from memory and writes `ring`."""

    kind = "order"
    mailbox_limit = 100
    supersedes = staticmethod(newest_wins)

    def restore(self, number: int, row: Mapping[str, Any], previous: Any) -> Any:
        return SimpleNamespace(recent=())

    def activated(self, state: Any, turn: Turn) -> Done:
        return Done()

    def idle_s(self, state: Any) -> float | None:
        return None

    def decide(self, state: Any, message: object, turn: Turn) -> Step:
        return Done(reply="seen") if message == "look" else Commit({}, lambda outcome: Done(reply="rung"))


class Books(MemoryJournal):
    """A journal that writes everything, when it is let."""

    def __init__(self, wall: Callable[[], float]) -> None:
        super().__init__(wall)
        self.open = asyncio.Event()
        self.asked = asyncio.Event()

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        return {number: {} for number in numbers}

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        self.asked.set()
        await self.open.wait()
        return [Outcome("ok", {}) for _ in items]


class Alone:
    """No other instance is within reach."""

    @asynccontextmanager
    async def serving(self, me: Greeting, receive: Receive, ended: Ended) -> AsyncIterator[str]:
        yield "here:1"

    async def dial(self, address: str, me: Greeting, receive: Receive, ended: Ended) -> Link:
        raise LinkLost("refused", refused=True)


class Deaf:
    """Nobody listens."""

    def emit(self, emit: Emit, trace: str) -> None:
        pass


class Counting:
    """The office's parts that a status reads, around a real runtime and a real keeper."""

    def __init__(self) -> None:
        self.clock, entropy = LoopClock(asyncio.get_running_loop()), SystemRandomness()
        self.books = Books(self.clock.wall)
        leases = MemoryLeases(LeaseTable(self.clock.boot), self.clock.boot, entropy)
        me = Greeting("mall-1", ONE)
        self.cluster = Cluster(
            me=me,
            transport=Alone(),
            leases=leases,
            emitter=Deaf(),
            codec=Codec(()),
            clock=self.clock,
            entropy=entropy,
        )
        self.runtime = Runtime(
            instance=me.instance, incarnation=ONE, behaviours=[Bell()], journal=self.books,
            emitter=self.cluster.peers, peers=self.cluster.forwarding, clock=self.clock, entropy=entropy,
            lost=self.cluster.lost,
        )  # fmt: skip
        self.cluster.attach(self.runtime)
        parts = SimpleNamespace(
            dispatch=SimpleNamespace(runtime=self.runtime, creations=(), progress=OrderProgress()),
            cluster=self.cluster, draining=False, hub=SimpleNamespace(sessions={}), clock=self.clock,
            database=SimpleNamespace(sizes=dict, waiting=0, refused=0, waits_s=Samples()), watchdog=lambda: 0.0,
            residents=Counter(),
        )  # fmt: skip
        self.services = cast(Services, parts)

    async def ask(self, message: str, number: int = 1) -> Any:
        return await self.runtime.ask(ActorId("order", number), message)

    def metrics(self) -> dict[str, float]:
        """One scrape, by series."""
        registry = CollectorRegistry()
        registry.register(RuntimeCollector(self.services))
        lines = generate_latest(registry).decode().splitlines()
        return {
            name: float(value)
            for line in lines
            if line[0] != "#"
            for name, _, value in (line.rpartition(" "),)
        }


@asynccontextmanager
async def counting() -> AsyncIterator[Counting]:
    stage = Counting()
    async with stage.runtime.running(), stage.cluster.running():
        await stage.cluster.reconciler.settled.wait()
        yield stage


async def test_hottest_actor_is_the_one_with_the_most_turns() -> None:
    async with counting() as stage:
        for number, times in ((1, 1), (2, 3), (3, 2)):
            for _ in range(times):
                await stage.ask("look", number)
        assert (await status(stage.services))["hottest"] == [
            {"actor": "order:2", "turns": 3},
            {"actor": "order:3", "turns": 2},
            {"actor": "order:1", "turns": 1},
        ]


async def test_look_at_all_actors_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_table, "WALK", 2)
    async with counting() as stage:
        for number in range(1, 21):
            await stage.ask("look", number)
        seen: list[Census] = []

        async def look() -> None:
            seen.append(await census(stage.runtime))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(look())
            turns = 0
            while not seen:
                turns += 1
                await asyncio.sleep(0)
        assert turns >= 5
        assert seen[0].kinds == {"order": 20}
        assert len(seen[0].hottest) == 20
        assert not seen[0].busy
        assert await residents(stage.runtime) == {"order": 20}


async def test_scrape_lets_others_have_their_turn_after_each_family() -> None:
    registry, turns, done = CollectorRegistry(), 0, asyncio.Event()
    for number in range(10):
        Counted("mall_test", "Of \\ a \n test.", ["kind"], registry=registry, namespace=f"n{number}").labels(
            '"'
        ).inc()
    texts: list[bytes] = []

    async def scrape() -> None:
        texts.append(await exposition(registry))
        done.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(scrape())
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)
    assert turns >= 10
    assert texts == [generate_latest(registry)]


async def test_oldest_gated_reply_has_the_age_of_the_decision_whose_commit_waits() -> None:
    async with counting() as stage, asyncio.TaskGroup() as tasks:
        assert (await status(stage.services))["gate"]["oldest_s"] == 0.0
        tasks.create_task(stage.ask("ring"))
        await stage.books.asked.wait()
        decided = stage.clock.monotonic()
        await until(lambda: stage.clock.monotonic() > decided + 0.05)
        assert 0.05 <= (await status(stage.services))["gate"]["oldest_s"] <= 1.0
        stage.books.open.set()


async def test_own_status_is_read_back_as_it_comes_over_a_line() -> None:
    async with counting() as stage:
        await stage.ask("look")
        report = read_report(ONE, orjson.loads(orjson.dumps(await status(stage.services))))
        assert len(report.epochs) == 256
        assert report.member == stage.cluster.reconciler.member
        assert report.lease["state"] == "leased"
        assert 0 < report.lease["margin_s"] <= 3.3
        assert report.actors == 1


async def test_answer_that_waits_for_the_check_of_its_epoch_is_counted() -> None:
    async with counting() as stage:
        await stage.ask("look")
        assert stage.metrics()["mall_doubts_total"] == 0
        stage.cluster.reconciler.lease_state.renewed(stage.clock.boot() + 100)  # as after a pause of 100 s
        assert await stage.ask("look") == "seen"
        assert stage.metrics()["mall_doubts_total"] == 1
        assert (await status(stage.services))["doubts"] == {"waited": 1, "stale": 0}
        assert stage.metrics()["mall_lease_gaps_total"] == 1


async def test_ownership_and_lines_are_counted_for_prometheus() -> None:
    async with counting() as stage:
        found = stage.metrics()
        assert found['mall_shards_owned{state="served"}'] == 256
        assert found["mall_shards_taken_total"] == 256
        assert 0 < found["mall_lease_margin_seconds"] <= 3.3
        stage.runtime.park(3)
        stage.cluster.peers.counts["forwarded"] += 2
        stage.runtime.fence_out(4)
        found = stage.metrics()
        assert found['mall_shards_owned{state="served"}'] == 254
        assert found['mall_shards_owned{state="handed_over"}'] == 1
        assert found["mall_forwarded_total"] == 2
        assert found["mall_shards_lost_total"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "mall_forwarded_total", "mall_served_total", "mall_moved_total", "mall_repeated_total",
        "mall_lines_lost_total", "mall_tells_dropped_total", "mall_emits_dropped_total",
        "mall_peer_asks_in_flight", "mall_messages_waiting", "mall_shards_taken_total",
        "mall_shards_lost_total", "mall_lease_margin_seconds", "mall_lease_ticks_failed_total",
        "mall_shards_handed_over_total", "mall_handovers_failed_total", "mall_handover_seconds_count",
        "mall_handover_seconds_sum", "mall_peers_buried_total", "mall_doubts_total",
        "mall_stale_answers_total",
    ],
)  # fmt: skip
async def test_metric_is_there_before_anything_has_happened(name: str) -> None:
    async with counting() as stage:
        assert name in stage.metrics()
