"""Plans of slow queries, as Postgres's module auto_explain reports them with the query that was slow.

A plan contains values: the planner writes parameters into conditions. So only its shape is kept: kinds of nodes,
tables, indexes and estimates, never a condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import orjson

from actors.tracing import is_recorded

# Queries faster than this have no plan.
SLOW_MS = 100
# Of one query: that of the statement, and those of slow statements in the functions that it calls.
PLANS_MAX = 5
NODES_MAX = 40
# Without `log_analyze`: it would measure each row of each query. Values of parameters are not even reported.
_SETTINGS = {
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_parameter_max_length": "0",
    "auto_explain.log_min_duration": str(SLOW_MS),
}
# What is kept of a node, and under which name.
_KEPT = {
    "Node Type": "node",
    "Relation Name": "table",
    "Index Name": "index",
    "Join Type": "join",
    "Plan Rows": "rows",
    "Total Cost": "cost",
}


class Plans:
    """Makes connections report plans, and listens where a query's trace is recorded."""

    def __init__(self) -> None:
        # Server processes that report plans. Those that have ended stay; their number may be given again.
        self._reporting: set[int] = set()

    async def begin(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Have this connection report plans. Where its user may not load the module, nothing changes."""
        role = await connection.fetchval("SELECT current_user")
        self._reporting.discard(connection.get_server_pid())
        try:
            await connection.execute("SET ROLE none")
            with suppress(asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFileError):
                await connection.execute("LOAD 'auto_explain'")
            # It may be there already: session_preload_libraries.
            if await connection.fetchval("SELECT current_setting('auto_explain.log_format', true)") is None:
                return
            for name, value in _SETTINGS.items():
                await connection.execute("SELECT set_config($1, $2, false)", name, value)
            self._reporting.add(connection.get_server_pid())
        except asyncpg.InsufficientPrivilegeError:
            return
        finally:
            await connection.execute(f'SET ROLE "{role}"')

    def listen(self, connection: Any, traces: Sequence[str]) -> PlanListener | None:
        """Listen to the plans of a query. None: its trace is not recorded, or the connection reports none."""
        if not self._reporting or not any(map(is_recorded, traces)):
            return None
        return PlanListener(connection) if connection.get_server_pid() in self._reporting else None


class PlanListener:
    """Keeps the plans that a connection reports until it is closed."""

    def __init__(self, connection: Any) -> None:
        self.plans: list[Mapping[str, Any]] = []
        self._connection = connection
        connection.add_log_listener(self._hear)

    def _hear(self, connection: Any, message: Any) -> None:
        """A notice of the server. It comes before the query's own result."""
        del connection
        shape = shape_of(getattr(message, "message", None) or "")
        if shape is not None and len(self.plans) < PLANS_MAX:
            self.plans.append(shape)

    def close(self) -> None:
        """Listen no more."""
        with suppress(asyncpg.InterfaceError):  # the connection has ended
            self._connection.remove_log_listener(self._hear)


def shape_of(notice: str) -> Mapping[str, Any] | None:
    """The shape of the plan in a notice of auto_explain; None for any other notice."""
    _, found, text = notice.partition("plan:\n")
    try:
        plan = orjson.loads(text)["Plan"] if found else None
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(plan, dict):
        return None
    return {"nodes": [node for node, _ in zip(_nodes(plan, 0), range(NODES_MAX), strict=False)]}


def _nodes(plan: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    yield {"depth": depth, **{name: plan[key] for key, name in _KEPT.items() if key in plan}}
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner, depth + 1)
