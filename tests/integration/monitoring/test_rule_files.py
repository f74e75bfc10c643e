"""The files are what their sources make, and each alert has its page; routing and inhibition by the real amtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from config.deploy import rules
from config.deploy.alerts import ALERTS
from config.deploy.rules import rule_files

HOME = Path(rules.__file__).parent
AMTOOL = shutil.which("amtool")
MANAGER = HOME / "alertmanager" / "alertmanager.yml"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Drill"]
PAGES = {alert.name for alert in ALERTS} | {"MallErrorBudgetBurn"}


def test_rules_are_what_their_source_makes() -> None:
    there = {path.name: path.read_text() for path in (HOME / "prometheus" / "rules").iterdir()}
    assert there == rule_files(), "python -m config.deploy.rules writes them"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in (HOME / "runbooks").glob("*.md")} - {"README"} == PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_runbook_has_the_form_of_all(name: str) -> None:
    text = (HOME / "runbooks" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    diagnosis = text[text.index("## Diagnosis") : text.index("## Mitigation")]
    assert "```" in diagnosis, "a command or a query to begin with"


def test_every_metric_that_a_rule_asks_for_is_exported() -> None:
    known = set(re.findall(r"^\| `([a-z_]+)`", (HOME / "metrics.md").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\b((?:mall|process)_[a-z_]+)", "".join(rule_files().values())))
    parts = {name.removesuffix(end) for name in asked for end in ("_bucket", "_count", "_sum")}
    missing = {name for name in asked if name not in known and not (parts & known and _part(name) in known)}
    assert missing == set()


def _part(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)


@pytest.mark.skipif(AMTOOL is None, reason="needs amtool (apt-get install prometheus-alertmanager)")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=MallDown", "severity=page"], "pager"),
        (["alertname=MallErrorBudgetBurn", "severity=page", "burn=fast", "slo=order_api"], "pager"),
        (["alertname=MallJobDead", "severity=ticket"], "tickets"),
        (["alertname=Watchdog", "severity=none"], "deadman"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_alert_reaches_its_receiver(labels: list[str], receiver: str) -> None:
    assert AMTOOL is not None
    done = subprocess.run(
        [AMTOOL, "config", "routes", "test", f"--config.file={MANAGER}", *labels],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.strip() == receiver


def test_what_follows_from_a_larger_fault_is_not_told_beside_it() -> None:
    """Each rule names alerts that exist, and none silences itself or the Watchdog."""
    names = {alert.name for alert in ALERTS} | {"MallErrorBudgetBurn"}
    for rule in yaml.safe_load(MANAGER.read_text())["inhibit_rules"]:
        text = " ".join([*rule["source_matchers"], *rule["target_matchers"]])
        assert set(re.findall(r"\b(?:Mall[A-Za-z]+|Watchdog)\b", text)) <= names
        if "equal" not in rule:
            source = re.findall(r'alertname="(\w+)"', " ".join(rule["source_matchers"]))
            targets = " ".join(rule["target_matchers"])
            matched = re.search(r'alertname=~"([^"]+)"', targets)
            assert matched is None or not set(source) & set(matched[1].split("|"))
