"""Drills run what is shipped: only addresses are others, and only tests are faster."""

from __future__ import annotations

import yaml

from config.deploy.alerts import ALERTS
from config.deploy.rules import rule_files
from loadtests.drill.faults import FAULTS
from loadtests.drill.monitoring import BRISK, HOME, SHIPPED, manager_config, prometheus_config, rule_texts

TARGETS = {"mall": "127.0.0.1:8081", "alertmanager": "127.0.0.1:9093", "prometheus": "127.0.0.1:9090"}


def test_measured_rules_and_times_are_the_shipped_ones() -> None:
    assert rule_texts(SHIPPED) == rule_files()
    shipped = yaml.safe_load((HOME / "prometheus" / "prometheus.yml").read_text())
    made = yaml.safe_load(prometheus_config(HOME / "rules", TARGETS, SHIPPED))
    assert made["global"] == shipped["global"]
    routes = yaml.safe_load(manager_config(9095, SHIPPED))
    shipped_routes = yaml.safe_load((HOME / "alertmanager" / "alertmanager.yml").read_text())
    assert (routes["route"], routes["inhibit_rules"]) == (
        shipped_routes["route"],
        shipped_routes["inhibit_rules"],
    )


def test_tests_are_faster_and_ask_the_same() -> None:
    shipped, brisk = (
        [rule for group in yaml.safe_load(texts["alerts.yaml"])["groups"] for rule in group["rules"]]
        for texts in (rule_files(), rule_texts(BRISK))
    )
    assert [rule["expr"] for rule in brisk] == [rule["expr"] for rule in shipped]
    assert [rule.get("for") for rule in brisk if rule["alert"] == "MallDown"] == ["12000ms"]


def test_every_receiver_is_the_webhook_of_the_drill() -> None:
    made = yaml.safe_load(manager_config(9095, SHIPPED))
    urls = {receiver["webhook_configs"][0]["url"] for receiver in made["receivers"]}
    assert urls == {f"http://127.0.0.1:9095/{name}" for name in ("pager", "tickets", "deadman")}


def test_every_fault_leads_to_alerts_that_exist_and_have_its_severity() -> None:
    known = {alert.name: alert.severity for alert in ALERTS} | {"MallErrorBudgetBurn": "page"}
    for fault in FAULTS.values():
        assert {known[name] for name in fault.alerts} == {fault.severity}, fault.name
        assert {known[name] for name in fault.along} <= {"page"}, fault.name
