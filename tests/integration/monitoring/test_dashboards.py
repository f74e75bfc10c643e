"""Dashboards are what their source makes, and keep rules that a reader relies on. Grafana itself does not run here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, units

from config.deploy.alerts import ALERTS
from config.deploy.dashboards.boards import BOARDS, FOLDER, files
from config.deploy.dashboards.panels import PANELS_MAX, WIDTH
from config.deploy.dashboards.unused import UNUSED
from config.deploy.rules import rule_files
from config.deploy.slo import burn_alerts
from loadtests.kit.server import ROOT
from tests.integration.monitoring.dashboard_queries import GRAFANA, queries_of, selectors_of

HOME = ROOT / "config" / "deploy"
TEXTS = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.json"))}
MADE: Sequence[Mapping[str, Any]] = [json.loads(text) for text in TEXTS.values()]
UNITS = {value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)}
METRICS = set(re.findall(r"^\| `([a-z_]+)`", (HOME / "metrics.md").read_text(), re.MULTILINE))
RECORDING: Sequence[Mapping[str, Any]] = [
    rule for group in yaml.safe_load(rule_files()["recording.yaml"])["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RECORDING}
# Prometheus makes them itself.
OF_PROMETHEUS = {"up", "ALERTS"}
QUERIES_OF_ALERTS = {
    **{alert.name: alert.query for alert in ALERTS},
    "MallErrorBudgetBurn": " ".join(alert["expr"] for alert in burn_alerts()),
}
each_board = pytest.mark.parametrize("board", MADE, ids=lambda board: board["uid"])


def panels_of(board: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The panels of a dashboard, without rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def metric_of(selector: str) -> str:
    """The metric of a selector; of a part of a histogram, the histogram."""
    name = selector.partition("{")[0]
    part = re.sub(r"_(bucket|count|sum)$", "", name)
    return part if part in METRICS else name


def metrics_in(text: str) -> set[str]:
    """The metrics that a query asks for."""
    return {metric_of(selector) for selector in selectors_of(text)}


def unknown(board: Mapping[str, Any]) -> set[str]:
    """What the queries of a dashboard ask for and nobody exports."""
    asked = {name for query in queries_of(board) for name in metrics_in(query.asked)}
    return asked - METRICS - RECORDED - OF_PROMETHEUS


def test_dashboards_are_what_their_source_makes() -> None:
    assert files() == TEXTS, "python -m config.deploy.dashboards writes them"


def test_source_makes_the_same_bytes_again() -> None:
    assert files() == files()


@each_board
def test_builder_reads_what_it_has_made(board: Mapping[str, Any]) -> None:
    """Read into the types of Grafana 11.6 and written again, nothing is lost."""
    register_default_plugins()
    read = dashboard.Dashboard.from_json(json.loads(json.dumps(board)))
    assert json.loads(JSONEncoder().encode(read)) == board


@each_board
def test_dashboard_has_a_schema_an_address_and_the_tag_by_which_others_link_it(
    board: Mapping[str, Any],
) -> None:
    assert board["schemaVersion"] == 41, "the one of Grafana 11.6"
    assert re.fullmatch(r"mall-[a-z]+", board["uid"])
    assert board["tags"] == ["mall"]
    assert board["description"].endswith(".")
    assert not board["editable"]
    assert "id" not in board, "Grafana gives it"
    assert f"{board['uid']}.json" in TEXTS


def test_no_two_dashboards_have_one_address_or_title() -> None:
    assert (
        len({board["uid"] for board in MADE}) == len({board["title"] for board in MADE}) == len(BOARDS) == 9
    )


@each_board
def test_numbers_of_panels_are_unique_and_few(board: Mapping[str, Any]) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    assert 0 < len(panels_of(board)) <= PANELS_MAX


@each_board
def test_panels_lie_side_by_side(board: Mapping[str, Any]) -> None:
    """None lies over another one, none beyond the edge, none without a row above it."""
    places = [panel["gridPos"] for panel in board["panels"]]
    assert places[0] == {"h": 1, "w": WIDTH, "x": 0, "y": 0}
    assert all(p["x"] >= 0 and p["x"] + p["w"] <= WIDTH and p["w"] > 0 and p["h"] > 0 for p in places)
    for a, b in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (a, b)


@each_board
def test_every_panel_says_what_it_shows_in_which_unit(board: Mapping[str, Any]) -> None:
    for panel in panels_of(board):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        text = panel["description"]
        assert re.fullmatch(r"[A-Z].{20,}[.]", text), text
        assert text != panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        assert all(target["legendFormat"] for target in panel["targets"])


@each_board
def test_panels_ask_the_prometheus_that_the_reader_chooses(board: Mapping[str, Any]) -> None:
    assert board["templating"]["list"][0]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels_of(board):
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])


@each_board
def test_every_variable_that_is_used_is_there_and_every_one_that_is_there_is_used(
    board: Mapping[str, Any],
) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"])))
    assert used - {name.removeprefix("$") for name in GRAFANA if "__" in name} == declared


@each_board
def test_every_metric_of_a_panel_is_exported(board: Mapping[str, Any]) -> None:
    assert unknown(board) == set()


def test_metric_that_is_misspelt_is_found() -> None:
    text = TEXTS["mall-dispatch.json"].replace("mall_flush_seconds_bucket", "mall_flush_second_bucket")
    assert unknown(json.loads(text)) == {"mall_flush_second_bucket"}


def test_every_alert_is_on_a_panel_that_shows_what_it_is_about() -> None:
    """Its runbook is there, and the panel asks for a metric of the alert, or for alerts."""
    about: dict[str, set[str]] = {name: set() for name in QUERIES_OF_ALERTS}
    for board in MADE:
        for panel in panels_of(board):
            asked = {name for target in panel["targets"] for name in metrics_in(target["expr"])}
            for link in panel["links"]:
                found = re.fullmatch(r"\$\{runbooks\}/(\w+)\.md", link["url"])
                assert found, link
                about[found[1]] |= asked
    apart = {name for name, asked in about.items() if not asked & subjects_of(name)}
    assert apart == set()


def subjects_of(alert: str) -> set[str]:
    """The metrics that an alert asks for; of the Watchdog, alerts themselves."""
    found = metrics_in(QUERIES_OF_ALERTS[alert])
    for rule in RECORDING:
        if rule["record"] in found:
            found |= metrics_in(rule["expr"])
    return found or {"ALERTS"}


def test_every_metric_is_on_a_dashboard_or_in_a_rule_or_has_an_excuse() -> None:
    shown = {name for board in MADE for query in queries_of(board) for name in metrics_in(query.asked)}
    ruled = {name for text in rule_files().values() for name in metrics_in(text)}
    asked = (shown | ruled) & METRICS
    assert sorted(METRICS - asked - set(UNUSED)) == [], "put it on a dashboard, or say in unused.py why not"
    assert sorted(set(UNUSED) & asked) == [], "it is asked for: the excuse is stale"
    assert sorted(set(UNUSED) - METRICS) == [], "no such metric"
    print(f"{len(METRICS)} metrics: {len(shown & METRICS)} on dashboards, {len(UNUSED)} unused")


def test_every_excuse_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in UNUSED.values())
