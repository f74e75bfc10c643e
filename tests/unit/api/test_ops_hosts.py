"""Under which names the ops port is asked, and the metrics of several instances as one text."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.ops.allowed_hosts import is_allowed
from api.ops.exposition import merge_expositions


@pytest.mark.parametrize(
    "field",
    [
        "127.0.0.1:8081",
        "127.0.0.1",
        "[::1]:8081",
        "10.1.2.3:80",
        "localhost:8081",
        "LOCALHOST",
        "Ops.Mall:1",
        "ops.mall.",
    ],
)
def test_address_loopback_and_configured_name_are_let_in(field: str) -> None:
    assert is_allowed(field, {"ops.mall"})


@pytest.mark.parametrize(
    "field",
    [
        "evil.example",
        "evil.example:8081",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "[evil]",
        "ops.mall.evil",
    ],
)
def test_any_other_name_is_kept_out(field: str) -> None:
    assert not is_allowed(field, {"ops.mall"})


ONE = """# HELP mall_x_total What happened.
# TYPE mall_x_total counter
mall_x_total{kind="a b}"} 1.0
# HELP mall_y Now.
# TYPE mall_y gauge
mall_y 2.0
"""
TWO = """# HELP mall_y Now, in other words.
# TYPE mall_y gauge
mall_y 3.0
# HELP mall_x_total What happened.
# TYPE mall_x_total counter
mall_x_total{kind="b"} 4.0
"""


def test_metrics_of_two_instances_are_one_text_that_prometheus_reads() -> None:
    families = list(text_string_to_metric_families(merge_expositions({"m-1": ONE, "m-2": TWO})))
    assert [family.name for family in families] == ["mall_x", "mall_y"]
    samples = {(s.labels["instance"], s.labels.get("kind"), s.value) for f in families for s in f.samples}
    assert samples == {("m-1", "a b}", 1.0), ("m-2", "b", 4.0), ("m-1", None, 2.0), ("m-2", None, 3.0)}
