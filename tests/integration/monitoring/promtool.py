"""Runs alert cases through promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.deploy.rules import group_order

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (apt-get install prometheus)")
STEP_S = 15
# Names of recorded series have a colon.
RECORDED = re.compile(r"[a-zA-Z_][\w]*:[\w:]+")
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class AlertCase:
    """Series, and the times at which an alert fires or does not.

    Attributes:
        series: values by series, in promtool's notation, a sample every 15 s.
        fires, quiet: times such as `5m`.
        labels: further labels of the alert, as in a selector.
    """

    alert: str
    name: str
    series: Mapping[str, str]
    fires: Sequence[str] = field(default=())
    quiet: Sequence[str] = field(default=())
    labels: str = ""

    def is_about(self, rule: Mapping[str, Any]) -> bool:
        """True for a rule that can fire with the labels that are looked for."""
        asked = dict(LABEL.findall(self.labels))
        fixed = rule.get("labels", {})
        return rule.get("alert") == self.alert and all(
            fixed.get(name, text) == text for name, text in asked.items()
        )

    def test(self) -> dict[str, object]:
        """As promtool reads it."""
        selector = f'ALERTS{{alertname="{self.alert}",alertstate="firing"{self.labels}}}'
        wanted = [(at, 1) for at in self.fires] + [(at, 0) for at in self.quiet]
        return {
            "name": f"{self.alert}: {self.name}",
            "interval": f"{STEP_S}s",
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": [
                {
                    "expr": f"(count({selector}) > bool 0) or vector(0)",
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": value}],
                }
                for at, value in wanted
            ],
        }


def rules_of(rules: Mapping[str, str], cases: Sequence[AlertCase]) -> dict[str, str]:
    """The rule files without what these cases do not need: promtool evaluates every rule at every step."""
    files = {name: yaml.load(text, yaml.CSafeLoader) for name, text in rules.items()}
    known = [rule for file in files.values() for group in file["groups"] for rule in group["rules"]]
    needed = [rule for rule in known if any(case.is_about(rule) for case in cases)]
    for rule in needed:  # grows on the way
        used = set(RECORDED.findall(rule["expr"]))
        needed += [made for made in known if made.get("record") in used and made not in needed]
    for file in files.values():
        for group in file["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule in needed]
    return {name: json.dumps(file) for name, file in files.items()}


def run_cases(folder: Path, rules: Mapping[str, str], cases: Sequence[AlertCase]) -> str:
    """Run the cases on these rule files; returns what promtool says, empty when all pass."""
    assert PROMTOOL is not None
    for name, text in rules_of(rules, cases).items():
        # promtool evaluates every rule at every step, and a week has 40,000 steps.
        (folder / name).write_text(text.replace("offset 1w", "offset 1h"))
    tests = {
        "rule_files": sorted(rules),
        "evaluation_interval": f"{STEP_S}s",
        # Without it promtool takes groups in any order, and what is made of other groups' rules comes and goes.
        "group_eval_order": group_order(),
        "tests": [case.test() for case in cases],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(tests, sort_keys=False))
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(folder / "tests.yaml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
