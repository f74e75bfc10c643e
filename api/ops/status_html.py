"""HTML page of the cluster's status: tables and the shard map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.ops.cluster_status import NOBODY, SERVED, STATES
from api.ops.html_tables import page, table, text

# Colours in page.css. A ninth instance repeats the first colour; the numbers in the cells' titles differ.
COLOURS = 8
LINKS = {"/status/jobs": "background jobs", "/metrics": "metrics", "/health": "health"}


def render(cluster: Mapping[str, Any], machine: Iterable[Mapping[str, Any]] = ()) -> str:
    """Render a merged status (cluster_status.py), and the processes of a machine (host_endpoint.py)."""
    body = (
        _members(cluster["members"])
        + _processes(machine)
        + _map(cluster["shards"], cluster["members"])
        + _counts(cluster)
        + table("Hottest actors", ("Actor", "Instance", "Turns"), _rows(cluster["hottest"], "turns"))
        + table("Deepest mailboxes", ("Actor", "Instance", "Waiting"), _rows(cluster["mailboxes"], "waiting"))
    )
    return page("status", _summary(cluster), body, LINKS)


def _summary(cluster: Mapping[str, Any]) -> str:
    shards = cluster["shards"]
    states = ", ".join(f"{text(shards[state])} {text(_said(state))}" for state in STATES)
    silent = cluster["silent"]
    answered = f"{text(cluster['answered'])} instances answered"
    missing = f', <span class="bad">{text(silent)} did not</span>' if silent else ""
    return (
        f"Seen by {text(cluster['asked'])}: {answered}{missing}. Shards: {states}. "
        f"The last lease tick is {text(shards['tick_age_s'])} s old."
    )


def _said(state: object) -> str:
    return str(state).replace("_", " ")


def _rows(found: Iterable[Mapping[str, Any]], by: str) -> list[Sequence[object]]:
    return [(row["actor"], row["instance"], row[by]) for row in found]


def _members(members: Iterable[Mapping[str, Any]]) -> str:
    heads = (
        "Instance",
        "Incarnation",
        "State",
        "Address",
        "Version",
        "Shards",
        "Lease",
        "Margin s",
        "Ticks failed",
        "Actors",
        "Sessions",
        "Oldest gated s",
        "Answer",
    )
    return table("Instances", heads, map(_member, members))


def _member(member: Mapping[str, Any]) -> Sequence[object]:
    lease, gate = member.get("lease", {}), member.get("gate", {})
    return (
        member["instance"],
        member["incarnation"],
        member["state"],
        member["address"],
        member["version"],
        member["shards_owned"],
        lease.get("state"),
        lease.get("margin_s"),
        lease.get("ticks_failed"),
        member.get("actors"),
        member.get("sessions"),
        gate.get("oldest_s"),
        member["reason"] or "yes",
    )


def _processes(machine: Iterable[Mapping[str, Any]]) -> str:
    """A table of the supervisor's processes; empty without a supervisor."""
    heads = ("Instance", "State", "Process", "Ops address", "Starts", "Last exit code")
    rows = [
        (p["instance"], p["state"], p["pid"], f"{p['ops_host']}:{p['ops_port']}", p["starts"], p["exit_code"])
        for p in machine
    ]
    return table("Processes of this machine", heads, rows) if rows else ""


def _map(shards: Mapping[str, Any], members: Iterable[Mapping[str, Any]]) -> str:
    """A cell per shard: its number, coloured by owner, framed by state; epoch and lease are in its title."""
    colours = {member["incarnation"]: number % COLOURS for number, member in enumerate(members)}
    legend = "".join(
        f'<span class="i{colour}">{text(incarnation)}</span>' for incarnation, colour in colours.items()
    )
    cells = "".join(_shard(shard, colours) for shard in shards["map"])
    return (
        f'<h2>Shards</h2><p class="legend">{legend}dashed: handed over; dotted: its owner is silent; '
        f'red: nobody</p><div class="scroll"><div class="map">{cells}</div></div>\n'
    )


def _shard(shard: Mapping[str, Any], colours: Mapping[str, int]) -> str:
    state = str(shard["state"])
    classes = [] if state in (SERVED, NOBODY) else [text(state)]
    if state == NOBODY:
        classes.append(NOBODY)
    elif (colour := colours.get(shard["incarnation"])) is not None:
        classes.append(f"i{colour}")
    also = shard.get("also_claimed_by", ())
    title = (
        f"shard {shard['shard']}: {_said(state)}, owner {shard['incarnation'] or '-'}, "
        f"epoch {shard['epoch']}, lease {shard['lease'] or '-'}" + "".join(f", claimed by {i}" for i in also)
    )
    return f'<span class="{" ".join(classes)}" title="{text(title)}">{text(shard["shard"])}</span>'


def _counts(cluster: Mapping[str, Any]) -> str:
    """A table of the cluster's totals."""
    rows = [
        (_said(f"{group} {name}"), value)
        for group in ("gate", "handovers", "forwarding", "doubts")
        for name, value in sorted(cluster[group].items())
    ]
    return table("Counted by all", ("What", "Number"), [*rows, ("shards lost", cluster["shards_lost"])])
