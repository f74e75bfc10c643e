"""Every alert fires, is silent at its limit, clears, and has a limit that matters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from config.deploy.alerts import ALERTS, Alert
from config.deploy.rules import rule_files
from config.deploy.slo import BURNS, OBJECTIVES, Burn, burn_expression
from tests.integration.monitoring.alert_cases import BURN_CASES, CASES
from tests.integration.monitoring.promtool import AlertCase, needs_promtool, run_cases

RULES = rule_files()
# The first always fires, the second asks whether a series is there at all.
NO_LIMIT = ("Watchdog", "MallWorkerMissing")


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alert_fires_and_is_silent_when_it_should(alert: Alert, tmp_path: Path) -> None:
    assert not run_cases(tmp_path, RULES, [case for case in CASES if case.alert == alert.name])


@needs_promtool
@pytest.mark.parametrize("case", BURN_CASES, ids=lambda case: case.name)
def test_budget_burns(case: AlertCase, tmp_path: Path) -> None:
    assert not run_cases(tmp_path, RULES, [case])


def moved(limit: float, factor: float) -> float:
    """The limit doubled or halved. Of one that counts, and whose half is no other number, the next number."""
    if limit in (0, 1):
        return limit + 2 if factor > 1 else limit - 1
    return limit * factor


@needs_promtool
@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize(
    "alert", [alert for alert in ALERTS if alert.name not in NO_LIMIT], ids=lambda alert: alert.name
)
def test_limit_that_is_moved_is_noticed(alert: Alert, factor: float, tmp_path: Path) -> None:
    rule = yaml.safe_load(RULES["alerts.yaml"])
    for group in rule["groups"]:
        for known in group["rules"]:
            if known["alert"] == alert.name:
                known["expr"] = replace(alert, limit=moved(alert.limit, factor)).expression()
    rules = {**RULES, "alerts.yaml": yaml.safe_dump(rule, sort_keys=False)}
    assert run_cases(tmp_path, rules, [case for case in CASES if case.alert == alert.name])


@needs_promtool
@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("burn", BURNS, ids=lambda burn: burn.name)
def test_burn_rate_that_is_moved_is_noticed(burn: Burn, factor: float, tmp_path: Path) -> None:
    rule = yaml.safe_load(RULES["alerts.yaml"])
    for made in rule["groups"][0]["rules"]:
        if made["labels"]["burn"] == burn.name and made["labels"]["slo"] == "order_api":
            made["expr"] = burn_expression(OBJECTIVES[0], burn, burn.rate * factor)
    rules = {**RULES, "alerts.yaml": yaml.safe_dump(rule, sort_keys=False)}
    cases = [case for case in BURN_CASES if f'burn="{burn.name}",slo="order_api"' in case.labels]
    assert run_cases(tmp_path, rules, cases)


def test_every_alert_has_cases_that_fire_and_that_do_not() -> None:
    fire = {case.alert for case in CASES if case.fires}
    quiet = {case.alert for case in CASES if case.quiet}
    names = {alert.name for alert in ALERTS}
    assert names == fire
    assert names - {"Watchdog"} == quiet
