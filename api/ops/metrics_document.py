"""Document of the metrics, made from a scrape: `curl -s localhost:8081/metrics | python -m api.ops.metrics_document`.

A test compares config/deploy/metrics.md with what a running server exports, so a metric that is added is documented.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from prometheus_client.metrics import MetricWrapperBase

from actors.values import frozen
from config import metrics

_HEAD = """# Metrics

Every metric of the ops port, `/metrics`. Made by `python -m api.ops.metrics_document`; a test holds it.

How to aggregate over instances and workers: **rate** `sum(rate(x[5m]))` · **sum** each process has its part ·
**max** each process sees the same fact of the database · **each** look at each process alone.

| Metric | Type | Labels | Over processes | Meaning |
|---|---|---|---|---|
"""
# Facts of the database, which each process that looks sees whole.
_SHARED = (
    "mall_payments_", "mall_idempotency_keys", "mall_jobs", "mall_outbox_", "mall_open_orders", "mall_online_drivers",
    "mall_webhook_endpoints", "mall_webhook_lag_", "mall_webhook_dead_letters",
)  # fmt: skip
# What is said of one process only.
_EACH = (
    "process_", "mall_build_info", "mall_ready", "mall_draining", "mall_component_up", "mall_loop_lag",
    "mall_limits_alone", "mall_slice_seconds_max", "mall_lease_margin", "mall_log_lines_dropped",
)  # fmt: skip
# Labels of the runtime's metrics that have no sample before the first event.
_LATER: Mapping[str, tuple[str, ...]] = {
    "mall_blocked_commits": ("holder",),
    "mall_locked_rows": ("holder",),
}


def _declared() -> Mapping[str, tuple[str, ...]]:
    """Labels of the metrics of config/metrics.py, by name in an exposition."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            own = vars(metric)
            [family] = metric.describe()
            found[f"{family.name}{'_total' if family.type == 'counter' else ''}"] = tuple(own["_labelnames"])
        elif isinstance(metric, metrics.HistogramByPart):
            found[metric.name] = metric.label_names
    return found


@frozen
class Described:
    """A metric: its type, its labels and its meaning."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def over_processes(self) -> str:
        """How it is aggregated."""
        if self.name.startswith(_EACH):
            return "each"
        if self.kind in ("counter", "histogram", "summary"):
            return "rate"
        return "max" if self.name.startswith(_SHARED) else "sum"


def described(text: str) -> Sequence[Described]:
    """The metrics of an exposition, by name."""
    meanings: dict[str, str] = {}
    kinds: dict[str, str] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, meaning = line.split(" ", 3)
            meanings[name] = meaning
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            kinds[name] = kind
        elif line:
            family = next(reversed(kinds))
            if "{" in line:
                inner = line[line.index("{") + 1 : line.rindex("}")]
                found = [part.partition("=")[0].lstrip(", ") for part in inner.split('"')[:-1:2]]
                labels[family] = tuple(name for name in found if name != "le")
    labels |= {**_LATER, **_declared()}
    return [Described(n, kinds[n], labels.get(n, ()), meanings.get(n, "")) for n in sorted(kinds)]


def document(rows_of: Sequence[Described]) -> str:
    """The document as Markdown."""
    rows = [
        f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.over_processes} | {m.meaning.replace('|', ' ')} |\n"
        for m in rows_of
    ]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(document(described(sys.stdin.read())))
