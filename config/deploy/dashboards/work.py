"""Money and jobs: payments, background rounds, jobs with notices, the outbox, webhooks."""

from __future__ import annotations

from config.deploy.dashboards.panels import Board, PanelQuery, Section, lines
from config.deploy.dashboards.promql import at_rest, events, largest, latest, per_second, quantile, ratio

_NOTICES = 'mall_job_attempts_total{task=~"notify_.*|send_.*|tell_.*"}'

_MONEY = Section(
    "Money",
    (
        lines(
            1, "Most overdue payment", "s",
            "How long the most overdue step of a payment has waited. A minute pages: money is held and not taken, or "
            "taken and not given back.",
            PanelQuery(latest("max", "mall_payments_late_seconds"), "overdue"),
            alerts=("MallPaymentsLate",), limited=True, width=6,
        ),
        lines(
            2, "Payments that wait", "short",
            "Payments that wait for a step, and payments that wait for an operator to settle them.",
            PanelQuery(latest("max", "mall_payments_waiting"), "for a step"),
            PanelQuery(latest("max", "mall_payments_stuck"), "for an operator"),
            alerts=("MallPaymentsStuck",), width=6,
        ),
        lines(
            3, "Time of the gateway", "s",
            "Slowest 1 % of the calls to the payment gateway, by step.",
            PanelQuery(quantile(0.99, "mall_gateway_seconds", "step"), "{{step}}"),
            width=6,
        ),
        lines(
            4, "Answers of the gateway", "percentunit",
            "Outcomes of calls as shares. `unsure` means that no answer came: the payment is asked for again under "
            "its key.",
            PanelQuery(
                ratio('mall_gateway_seconds_count{outcome="unsure"}', "mall_gateway_seconds_count"), "unsure"
            ),
            PanelQuery(
                ratio('mall_gateway_seconds_count{outcome="declined"}', "mall_gateway_seconds_count"), "declined"
            ),
            PanelQuery(
                ratio('mall_gateway_seconds_count{outcome=~"refused|later"}', "mall_gateway_seconds_count"),
                "refused or later",
            ),
            alerts=("MallGatewayUnsure", "MallGatewayAway"), limited=True, width=6,
        ),
    ),
)  # fmt: skip
_ROUNDS = Section(
    "Background rounds of instances",
    (
        lines(
            5, "Rounds", "opm",
            "Rounds in a minute, by name. Zones are woken, positions saved, feeds swept "
            "and payments settled in rounds.",
            PanelQuery(
                at_rest("sum by (chore) (rate(mall_chore_seconds_count[5m])) * 60", "chore"),
                "{{chore}}",
            ),
            alerts=("MallChoreStalled",),
        ),
        lines(
            6, "Time of a round", "s",
            "Slowest 1 % of the rounds, by name.",
            PanelQuery(quantile(0.99, "mall_chore_seconds", "chore"), "{{chore}}"),
        ),
        lines(
            7, "Rounds that failed", "short",
            "Failures of rounds in ten minutes, by name. More than two are a ticket.",
            PanelQuery(events("mall_chore_failures_total", "10m", "chore"), "{{chore}}"),
            alerts=("MallChoreFails",), limited=True,
        ),
    ),
)  # fmt: skip
_JOBS = Section(
    "Jobs and notices",
    (
        lines(
            8, "Jobs", "short",
            "Jobs by state, of all tasks. Dead jobs are not tried again until somebody asks for it.",
            PanelQuery(at_rest("sum by (state) (max by (task, state) (mall_jobs))", "state"), "{{state}}"),
            alerts=("MallJobDead",),
        ),
        lines(
            9, "Longest wait of a job", "s",
            "How long the oldest due job of a task has waited, the five worst. Too few workers, or one that hangs.",
            PanelQuery(largest(5, latest("max", "mall_jobs_oldest_seconds", "task")), "{{task}}"),
            alerts=("MallJobsWait",), limited=True,
        ),
        lines(
            10, "Attempts and relay", "cps",
            "Attempts of jobs by outcome, rows of the outbox relayed, and calls of the database that failed.",
            PanelQuery(per_second("mall_job_attempts_total", "outcome"), "{{outcome}}"),
            PanelQuery(per_second("mall_relayed_total"), "relayed"),
            PanelQuery(per_second("mall_work_failures_total"), "failed calls"),
        ),
        lines(
            11, "Time of jobs", "s",
            "Slowest 1 %: from the making of a job to its first attempt, and the run time of attempts by task.",
            PanelQuery(quantile(0.99, "mall_job_start_seconds"), "until the first attempt"),
            PanelQuery(largest(5, quantile(0.99, "mall_job_seconds", "task")), "run: {{task}}"),
        ),
        lines(
            12, "Notices", "cps",
            "Attempts of jobs that tell people something by mail or SMS, by task and outcome.",
            PanelQuery(per_second(_NOTICES, "task, outcome"), "{{task}} {{outcome}}"),
        ),
        lines(
            13, "Outbox", "s",
            "How long the oldest row has waited for the relay. Until it is relayed, no notice and no webhook leaves.",
            PanelQuery(latest("max", "mall_outbox_oldest_seconds"), "oldest row"),
            alerts=("MallOutboxLate",), limited=True,
        ),
    ),
)  # fmt: skip
_WEBHOOKS = Section(
    "Outbox and webhooks",
    (
        lines(
            14, "What waits", "short",
            "Workers that there are, rows of the outbox, requests to receivers under way, events that the slowest "
            "endpoint is behind, dead letters, and endpoints by state.",
            PanelQuery(latest("count", "mall_outbox_rows"), "workers"),
            PanelQuery(latest("max", "mall_outbox_rows"), "rows of the outbox"),
            PanelQuery(latest("sum", "mall_webhook_in_flight"), "requests under way"),
            PanelQuery(latest("max", "mall_webhook_lag_events"), "events behind"),
            PanelQuery(latest("max", "mall_webhook_dead_letters"), "dead letters"),
            PanelQuery(latest("max", "mall_webhook_endpoints", "state"), "endpoints: {{state}}"),
            alerts=("MallWorkerMissing",),
        ),
        lines(
            15, "Requests to receivers", "reqps",
            "Requests to receivers of webhooks, by class of the answer or by what prevented one.",
            PanelQuery(per_second("mall_webhook_attempts_total", "outcome"), "{{outcome}}"),
        ),
        lines(
            16, "Lateness of webhooks", "s",
            "Age of the oldest event that an endpoint has still to get, and the slowest 1 % of the requests.",
            PanelQuery(latest("max", "mall_webhook_lag_seconds"), "oldest event"),
            PanelQuery(quantile(0.99, "mall_webhook_seconds"), "request p99"),
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "work",
    "Money and jobs",
    "What happens after the answer: payments, background rounds, jobs, notices and webhooks.",
    (_MONEY, _ROUNDS, _JOBS, _WEBHOOKS),
    since="3h",
)
