"""Metrics that no dashboard and no rule asks for, and why. A test fails when an entry is asked for, or is no metric."""

from __future__ import annotations

from collections.abc import Mapping

UNUSED: Mapping[str, str] = {
    "mall_spans_total": "spans that a collector lost are missed there, where traces are looked at; no user feels it",
    "mall_work_spans_total": "as mall_spans_total, of workers",
    "process_virtual_memory_bytes": "address space, of which most is never touched; resident memory is shown",
}
