"""HTML page of background work: what is paused, tasks with the oldest jobs first, workers, dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actors.tracing import trace_id
from api.ops.html_tables import Marked, page, table, text
from dispatch.domain import ids

# An older job is marked: its task does not keep up, or nobody works.
OLD_S = 60.0
JOBS_SHOWN = 5
ERROR_CHARS = 200
Row = Mapping[str, Any]


def render_jobs(seen: Row, links: Mapping[str, str]) -> str:
    """Render an overview (dispatch/jobs/control.py, with `asked` and `at_ms`). `links` are other pages by path."""
    now_ms = seen["at_ms"]
    body = (
        _alerts(seen)
        + _tasks(seen["tasks"])
        + _workers(seen["workers"], now_ms)
        + _dead(seen["dead"], now_ms)
        + _schedules(seen["schedules"], now_ms)
        + _actions(seen["actions"], now_ms)
        + "<p>What to do about them: <code>python run.py jobs --help</code>, or the API under "
        "<code>/api/v2/jobs</code>.</p>\n"
    )
    return page("background jobs", _summary(seen), body, links)


def _summary(seen: Row) -> str:
    sums = {name: sum(task[name] for task in seen["tasks"]) for name in ("waiting", "running", "scheduled")}
    dead = sum(task["dead"] for task in seen["tasks"])
    outbox = seen["outbox"]
    died = f'<span class="bad">{text(dead)} dead</span>' if dead else "0 dead"
    relayed = (
        f"The outbox has {text(outbox['rows'])} rows, the oldest {text(_span(outbox['oldest_s']))} old."
        if outbox["rows"]
        else "The outbox is empty."
    )
    return (
        f"Seen by {text(seen['asked'])}. Jobs: {text(sums['waiting'])} waiting, {text(sums['running'])} running, "
        f"{text(sums['scheduled'])} scheduled, {died}. {relayed}"
    )


def _alerts(seen: Row) -> str:
    """What is paused, before everything else."""
    lines = [
        f"Paused: task {task['task']}, by {task['paused']['by']}, {_ago(task['paused']['at_ms'], seen['at_ms'])}"
        + (f": {task['paused']['reason']}" if task["paused"]["reason"] else "")
        for task in seen["tasks"]
        if task["paused"] is not None
    ]
    lines += [f"Paused: schedule {one['name']}" for one in seen["schedules"] if one["paused"]]
    return "".join(f'<p class="alert">{text(line)}</p>\n' for line in lines)


def _tasks(tasks: Sequence[Row]) -> str:
    window_s = tasks[0]["recent"]["window_s"] if tasks else 3600
    heads = (
        "Task",
        "Oldest",
        "Waiting",
        "Running",
        "Scheduled",
        "Dead",
        "Paused",
        f"Attempts in {_span(window_s)}",
        "Failed",
        "p50 ms",
        "p95 ms",
    )
    return table("Tasks", heads, map(_task, sorted(tasks, key=lambda task: -(task["oldest_s"] or 0))))


def _task(task: Row) -> Sequence[object]:
    recent, oldest_s = task["recent"], task["oldest_s"]
    age: object = None if oldest_s is None else _span(oldest_s)
    return (
        task["task"],
        Marked(age, "bad") if (oldest_s or 0) > OLD_S else age,
        task["waiting"],
        task["running"],
        task["scheduled"],
        Marked(task["dead"], "bad") if task["dead"] else 0,
        Marked("paused", "bad") if task["paused"] is not None else "",
        recent["attempts"],
        recent["failures"],
        recent["p50_ms"],
        recent["p95_ms"],
    )


def _dead(rows: Iterable[Row], now_ms: int) -> str:
    heads = ("Job", "Task", "Error", "Died", "Attempts", "Key", "Trace")
    return table(
        "Newest dead letters",
        heads,
        [
            (
                ids.public_id(ids.JOB, row["id"]),
                row["task"],
                Marked((row["error"] or "")[:ERROR_CHARS], "long"),
                Marked(_ago(row["died_ms"], now_ms), "short"),
                row["attempts"],
                row["key"],
                trace_id(row["trace"]),
            )
            for row in rows
        ],
    )


def _workers(rows: Iterable[Row], now_ms: int) -> str:
    return table(
        "Workers with jobs",
        ("Worker", "Jobs", "The longest under way"),
        [(row["worker"], row["many"], Marked(_under_way(row["jobs"], now_ms), "long")) for row in rows],
    )


def _under_way(jobs: Sequence[Row], now_ms: int) -> str:
    return ", ".join(
        f"{ids.public_id(ids.JOB, job['id'])} {job['task']} for {_span((now_ms - job['begun_ms']) / 1000)}"
        for job in jobs[:JOBS_SHOWN]
    )


def _schedules(rows: Iterable[Row], now_ms: int) -> str:
    return table(
        "Schedules",
        ("Schedule", "Task", "Runs", "Next", "Last"),
        [
            (
                row["name"],
                row["task"],
                f"daily at {row['daily_at']}" if row["every_s"] is None else f"every {_span(row['every_s'])}",
                Marked("paused", "bad") if row["paused"] else _next(row["next_ms"], now_ms),
                None if row["last_ms"] is None else _ago(row["last_ms"], now_ms),
            )
            for row in rows
        ],
    )


def _actions(rows: Iterable[Row], now_ms: int) -> str:
    return table(
        "What people did last",
        ("When", "Who", "Action", "On", "Jobs"),
        [
            (
                _ago(row["at_ms"], now_ms),
                row["by"],
                row["action"].replace("_", " "),
                Marked(_target(row["target"]), "long"),
                row["count"],
            )
            for row in rows
        ],
    )


def _target(target: Row) -> str:
    """What an action was about, in short."""
    numbers = target.get("ids", ())
    named = [f"{name} {value}" for name, value in target.items() if name != "ids" and value is not None]
    named += [ids.public_id(ids.JOB, number) for number in numbers[:JOBS_SHOWN]]
    return ", ".join(named) + (" …" if len(numbers) > JOBS_SHOWN else "")


def _span(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 or seconds == int(seconds) else f"{seconds:.1f} s"


def _ago(ms: int, now_ms: int) -> str:
    return f"{_span(max(0, (now_ms - ms) // 1000))} ago"


def _next(ms: int, now_ms: int) -> str:
    return f"in {_span((ms - now_ms) // 1000)}" if ms > now_ms else "now"
