"""HTML page of the cluster's status: tables and the shard map, without script and without external resources.

Every text is escaped by `_text`, whatever its source: a peer's text may contain markup.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from api.ops.cluster_status import NOBODY, SERVED, STATES

# Short enough to watch a hand-over, long enough to read the page.
REFRESH_S = 5
# Colours in page.css. A ninth instance repeats the first colour; the numbers in the cells' titles differ.
COLOURS = 8
_HERE = Path(__file__).parent
_FRAME = Template((_HERE / "page.html").read_text())
_STYLE = (_HERE / "page.css").read_text()
# The policy names the one style block by its digest, so the browser refuses any injected content.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(cluster: Mapping[str, Any], machine: Iterable[Mapping[str, Any]] = ()) -> str:
    """Render a merged status (cluster_status.py), and the processes of a machine (host_endpoint.py)."""
    body = (
        _members(cluster["members"])
        + _processes(machine)
        + _map(cluster["shards"], cluster["members"])
        + _counts(cluster)
        + _table("Hottest actors", ("Actor", "Instance", "Turns"), _rows(cluster["hottest"], "turns"))
        + _table(
            "Deepest mailboxes", ("Actor", "Instance", "Waiting"), _rows(cluster["mailboxes"], "waiting")
        )
    )
    return _FRAME.substitute(refresh_s=REFRESH_S, style=_STYLE, summary=_summary(cluster), body=body)


def _text(value: object) -> str:
    """A value as escaped HTML."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return escape(f"{value:.3f}")
    return escape(str(value))


def _summary(cluster: Mapping[str, Any]) -> str:
    shards = cluster["shards"]
    states = ", ".join(f"{_text(shards[state])} {_text(_said(state))}" for state in STATES)
    silent = cluster["silent"]
    answered = f"{_text(cluster['answered'])} instances answered"
    missing = f', <span class="bad">{_text(silent)} did not</span>' if silent else ""
    return (
        f"Seen by {_text(cluster['asked'])}: {answered}{missing}. Shards: {states}. "
        f"The last lease tick is {_text(shards['tick_age_s'])} s old."
    )


def _said(state: object) -> str:
    return str(state).replace("_", " ")


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of values; numbers are right-aligned. Values are escaped."""
    lines = ["<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows]
    if not lines:
        return f"<h2>{_text(title)}</h2><p>None.</p>"
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    return (
        f'<h2>{_text(title)}</h2><div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>\n'
    )


def _cell(value: object) -> str:
    number = ' class="n"' if isinstance(value, int | float) else ""
    return f"<td{number}>{_text(value)}</td>"


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
    return _table("Instances", heads, map(_member, members))


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
    return _table("Processes of this machine", heads, rows) if rows else ""


def _map(shards: Mapping[str, Any], members: Iterable[Mapping[str, Any]]) -> str:
    """A cell per shard: its number, coloured by owner, framed by state; epoch and lease are in its title."""
    colours = {member["incarnation"]: number % COLOURS for number, member in enumerate(members)}
    legend = "".join(
        f'<span class="i{colour}">{_text(incarnation)}</span>' for incarnation, colour in colours.items()
    )
    cells = "".join(_shard(shard, colours) for shard in shards["map"])
    return (
        f'<h2>Shards</h2><p class="legend">{legend}dashed: handed over; dotted: its owner is silent; '
        f'red: nobody</p><div class="scroll"><div class="map">{cells}</div></div>\n'
    )


def _shard(shard: Mapping[str, Any], colours: Mapping[str, int]) -> str:
    state = str(shard["state"])
    classes = [] if state in (SERVED, NOBODY) else [_text(state)]
    if state == NOBODY:
        classes.append(NOBODY)
    elif (colour := colours.get(shard["incarnation"])) is not None:
        classes.append(f"i{colour}")
    also = shard.get("also_claimed_by", ())
    title = (
        f"shard {shard['shard']}: {_said(state)}, owner {shard['incarnation'] or '-'}, "
        f"epoch {shard['epoch']}, lease {shard['lease'] or '-'}" + "".join(f", claimed by {i}" for i in also)
    )
    return f'<span class="{" ".join(classes)}" title="{_text(title)}">{_text(shard["shard"])}</span>'


def _counts(cluster: Mapping[str, Any]) -> str:
    """A table of the cluster's totals."""
    rows = [
        (_said(f"{group} {name}"), value)
        for group in ("gate", "handovers", "forwarding", "doubts")
        for name, value in sorted(cluster[group].items())
    ]
    return _table("Counted by all", ("What", "Number"), [*rows, ("shards lost", cluster["shards_lost"])])
