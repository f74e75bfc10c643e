"""Writes the rules as the Prometheus operator takes them: `python -m config.deploy.operator_rules`.

A test compares them with the file.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from config.deploy.rules import rule_files

MADE = Path(__file__).parent / "k8s" / "components" / "monitoring" / "rules.yaml"
_HEAD = "# Made by `python -m config.deploy.operator_rules` from config/deploy/rules.py.\n"


def rules_text() -> str:
    """The text of the file: all groups."""
    groups = [group for text in rule_files().values() for group in yaml.safe_load(text)["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "mall", "namespace": "mall"},
        "spec": {"groups": groups},
    }
    text: str = yaml.safe_dump(rule, sort_keys=False, width=10_000, allow_unicode=True)
    return _HEAD + text


if __name__ == "__main__":
    MADE.write_text(rules_text())
