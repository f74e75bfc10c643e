"""Dispatch: commands, turns of actors, commits, timers, the event loop."""

from __future__ import annotations

from config.deploy.dashboards.panels import INSTANCES, Board, PanelQuery, Section, lines
from config.deploy.dashboards.promql import events, here, latest, mean, per_second, quantile

_COMMANDS = Section(
    "Commands and turns",
    (
        lines(
            1, "Commands", "ops",
            "Commands on orders, by name and by the way they came: REST or the feed.",
            PanelQuery(per_second(here("mall_commands_total"), "command, via"), "{{command}} {{via}}"),
        ),
        lines(
            2, "Answers to commands", "ops",
            "Commands by result, and commands that were repeated and got their first answer again.",
            PanelQuery(per_second(here("mall_commands_total"), "result"), "{{result}}"),
            PanelQuery(per_second(here("mall_command_replays_total")), "replayed"),
        ),
        lines(
            3, "Time to answer a command", "s",
            "From the edge to the answer, median and slowest 1 %. The objective is 100 ms for 99 %.",
            PanelQuery(quantile(0.5, here("mall_command_seconds")), "p50"),
            PanelQuery(quantile(0.99, here("mall_command_seconds")), "p99"),
            alerts=("MallErrorBudgetBurn",), limit=0.1,
        ),
        lines(
            4, "Turns", "ops",
            "Messages decided by actors, by kind, and timers that fired.",
            PanelQuery(per_second(here("mall_actor_turns_total"), "kind"), "{{kind}}"),
            PanelQuery(per_second(here("mall_timers_fired_total")), "timers fired"),
        ),
        lines(
            5, "Actors in memory", "short",
            "Actors in memory, by kind. They leave when they have been idle.",
            PanelQuery(latest("sum", here("mall_actors_active"), "kind"), "{{kind}}"),
        ),
        lines(
            6, "Actors that come and go", "cps",
            "Actors brought into memory, and actors that left it, by reason. Much of both at once means that they "
            "leave too early; `cap` is the limit of actors in memory.",
            PanelQuery(per_second(here("mall_activations_total"), "reason"), "in: {{reason}}"),
            PanelQuery(per_second(here("mall_passivations_total"), "reason"), "out: {{reason}}"),
        ),
    ),
)  # fmt: skip
_COMMITS = Section(
    "Commits",
    (
        lines(
            7, "Decisions that wait", "short",
            "Decisions that wait for their commit, and orders that are being placed. If they wait and nothing is "
            "committed, users get no answers.",
            PanelQuery(latest("sum", here("mall_gate_pending")), "decisions"),
            PanelQuery(latest("sum", here("mall_creations_waiting")), "orders being placed"),
            alerts=("MallCommitsStandStill",),
        ),
        lines(
            8, "Wait for a commit", "s",
            "From a decision to its commit, median and slowest 1 %. No reply leaves before it.",
            PanelQuery(quantile(0.5, here("mall_gate_wait_seconds")), "p50"),
            PanelQuery(quantile(0.99, here("mall_gate_wait_seconds")), "p99"),
        ),
        lines(
            9, "Time of a batch", "s",
            "Time of one group commit in Postgres, median and slowest 1 %.",
            PanelQuery(quantile(0.5, here("mall_flush_seconds")), "p50"),
            PanelQuery(quantile(0.99, here("mall_flush_seconds")), "p99"),
        ),
        lines(
            10, "Decisions in a batch", "short",
            "How many decisions share one commit. It grows with the load; that is what keeps commits cheap.",
            PanelQuery(mean(here("mall_flush_items")), "mean"),
            PanelQuery(quantile(0.99, here("mall_flush_items")), "p99"),
        ),
        lines(
            11, "Outcomes of commits", "ops",
            "Batches, items by result, and commits without an answer whose rows were asked afterwards.",
            PanelQuery(per_second(here("mall_flushes_total")), "batches"),
            PanelQuery(per_second(here("mall_flush_outcomes_total"), "result"), "{{result}}"),
            PanelQuery(per_second(here("mall_settled_total"), "result"), "settled: {{result}}"),
            alerts=("MallCommitsStandStill",),
        ),
        lines(
            12, "Commits that wait for a row", "short",
            "Commits set aside because somebody else holds their row, and how often a lane has waited in vain in "
            "the last ten minutes.",
            PanelQuery(latest("sum", here("mall_blocked_commits"), "holder"), "held by {{holder}}"),
            PanelQuery(latest("sum", here("mall_locked_rows"), "holder"), "rows of {{holder}}"),
            PanelQuery(events(here("mall_lock_waits_total"), "10m"), "waited in vain"),
            alerts=("MallLocksHeld",),
        ),
    ),
)  # fmt: skip
_FAULTS = Section(
    "Faults and lateness",
    (
        lines(
            13, "Crashes and refusals", "cps",
            "Turns that failed, by kind of actor, and messages that the runtime refused, by reason. A crash is a "
            "defect: its stack trace is in the log.",
            PanelQuery(per_second(here("mall_actor_crashes_total"), "kind"), "crash: {{kind}}"),
            PanelQuery(per_second(here("mall_actor_refusals_total"), "reason"), "refused: {{reason}}"),
            alerts=("MallActorCrashed",), width=6,
        ),
        lines(
            14, "Timers that wait", "short",
            "Durable timers that are due soon: ends of offers, next waves, patience with drivers.",
            PanelQuery(latest("sum", here("mall_timers_pending")), "timers"),
            width=6,
        ),
        lines(
            15, "Lateness of timers", "s",
            "From the time at which a timer was due to its turn.",
            PanelQuery(quantile(0.5, here("mall_timer_lateness_seconds")), "p50"),
            PanelQuery(quantile(0.99, here("mall_timer_lateness_seconds")), "p99"),
            width=6,
        ),
        lines(
            16, "Lag of the event loop", "s",
            "How late the event loop of each instance wakes (slowest 1 %), and its longest slice of turns so far. "
            "A late loop makes everything late.",
            PanelQuery(quantile(0.99, here("mall_loop_lag_seconds"), "instance"), "{{instance}}"),
            PanelQuery(latest("max", here("mall_slice_seconds_max")), "longest slice"),
            alerts=("MallLoopLate",), limited=True, width=6,
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "dispatch",
    "Dispatch",
    "Commands on orders, the turns of actors that decide them, and the commits that make decisions true.",
    (_COMMANDS, _COMMITS, _FAULTS),
    (INSTANCES,),
    since="3h",
)
