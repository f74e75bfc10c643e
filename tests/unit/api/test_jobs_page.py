"""The page of background work: what is paused stands first, the oldest job is on top, and nothing becomes markup."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.ops.jobs_html import render_jobs

NOW_MS = 1_800_000_000_000
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>&"
LINKS = {"/status": "instances"}


def task(name: str, **changes: Any) -> dict[str, Any]:
    """A task without jobs."""
    recent = {"window_s": 3600, "attempts": 0, "failures": 0, "p50_ms": None, "p95_ms": None}
    counts = dict.fromkeys(("waiting", "running", "scheduled", "dead"), 0)
    return {"task": name, "oldest_s": None, "paused": None, "recent": recent, **counts, **changes}


def overview(**changes: Any) -> dict[str, Any]:
    """What a process has seen of a mall without work."""
    empty: dict[str, Any] = {"tasks": [], "dead": [], "workers": [], "schedules": [], "actions": []}
    return {
        "asked": "mall-1",
        "at_ms": NOW_MS,
        "outbox": {"rows": 0, "oldest_s": 0.0},
        **empty,
        **changes,
    }


def full(said: str = "words") -> dict[str, Any]:
    """Background work with one of everything, and this text wherever a text stands."""
    return overview(
        asked=said,
        tasks=[task(said, waiting=1, oldest_s=90.0, paused={"by": said, "reason": said, "at_ms": NOW_MS})],
        dead=[{
            "id": 17, "task": said, "key": said, "trace": said, "error": said, "attempts": 8,
            "died_ms": NOW_MS - 5_000,
        }],
        workers=[{
            "worker": said, "many": 1,
            "jobs": [{"id": 18, "task": said, "attempts": 1, "begun_ms": NOW_MS - 2_500}],
        }],
        schedules=[{
            "name": said, "task": said, "every_s": None, "daily_at": said, "paused": True, "next_ms": NOW_MS,
            "last_ms": None,
        }],
        actions=[{
            "at_ms": NOW_MS, "by": said, "action": "retry", "count": 7,
            "target": {"task": said, "ids": list(range(1, 8))},
        }],
    )  # fmt: skip


def text_of(page: str) -> str:
    """What a reader sees of a page."""
    return re.sub("<[^>]+>", " ", page.partition("<body>")[2])


def test_page_of_a_mall_without_work_says_that_there_is_none() -> None:
    page = text_of(render_jobs(overview(), LINKS))
    assert "Jobs: 0 waiting, 0 running, 0 scheduled, 0 dead. The outbox is empty." in page
    assert page.count("None.") == 5


def test_what_is_paused_stands_before_all_tables() -> None:
    page = render_jobs(full(), LINKS)
    assert 0 < page.index("Paused: task words, by words") < page.index("<h2>Tasks")
    assert 0 < page.index("Paused: schedule words") < page.index("<h2>Tasks")


def test_task_with_the_oldest_job_is_on_top_and_marked_when_it_is_late() -> None:
    tasks = [
        task("idle"),
        task("late", waiting=1, oldest_s=7_200.0),
        task("quick", waiting=1, oldest_s=0.2),
    ]
    page = render_jobs(overview(tasks=tasks), LINKS)
    assert page.index("late") < page.index("quick") < page.index("idle")
    assert '<td class="bad">2 h</td>' in page
    assert "<td>0.2 s</td>" in page


def test_dead_letters_workers_and_actions_name_their_jobs() -> None:
    page = text_of(render_jobs(full(), LINKS))
    for expected in ("job_17", "5 s ago", "job_18 words for 2.5 s", "job_1, job_2", "job_5 …"):
        assert expected in page
    assert "job_6" not in page, "a long list is cut"


@pytest.mark.parametrize(
    ("oldest_s", "shown"),
    [
        (0.0, "0 s"),
        (59.0, "59 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7_300.0, "2 h"),
        (3 * 86_400.0, "3 d"),
    ],
)
def test_ages_are_shown_in_their_largest_unit(oldest_s: float, shown: str) -> None:
    page = render_jobs(overview(outbox={"rows": 1, "oldest_s": oldest_s}), LINKS)
    assert f"the oldest {shown} old" in page


def test_nothing_that_a_job_says_becomes_markup() -> None:
    safe, attacked = render_jobs(full(), LINKS), render_jobs(full(HOSTILE), LINKS)
    assert re.findall("<[a-z]+", safe) == re.findall("<[a-z]+", attacked)
    assert "&lt;script&gt;" in attacked


def test_page_needs_nothing_from_elsewhere() -> None:
    page = render_jobs(full(), LINKS)
    for forbidden in ("http:", "https:", "src=", "url(", "@import", "<script", "style="):
        assert forbidden not in page
    assert re.findall('href="([^"]+)"', page) == ["/status"]
