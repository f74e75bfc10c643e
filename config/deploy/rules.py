"""Writes the rules of Prometheus: `python -m config.deploy.rules`. A test compares them with the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from config.deploy.alerts import CAUSES, META, SYMPTOMS, Alert
from config.deploy.slo import burn_alerts, recording_rules

FOLDER = Path(__file__).parent / "prometheus" / "rules"
_MADE = "# Made by `python -m config.deploy.rules` from config/deploy/slo.py and alerts.py.\n"
_REQUESTS = 'mall_requests_total{route!~"/health/.*"%s}'


def _groups() -> Mapping[str, list[dict[str, Any]]]:
    requests, failed = _REQUESTS % "", _REQUESTS % ',status=~"5.."'
    recording = [
        {
            "name": "mall-requests",
            "interval": "15s",
            "rules": [
                {"record": "mall:requests:rate2m", "expr": f"sum by (route, method) (rate({requests}[2m]))"},
                {
                    "record": "mall:requests_failed:rate2m",
                    "expr": f"sum by (route, method) (rate({failed}[2m]))",
                },
            ],
        },
        *recording_rules(),
    ]
    alerts = [
        {"name": "mall-burn", "rules": list(burn_alerts())},
        {"name": "mall-symptoms", "rules": _rules(SYMPTOMS)},
        {"name": "mall-causes", "rules": _rules(CAUSES)},
        {"name": "mall-meta", "rules": _rules(META)},
    ]
    return {"recording.yaml": recording, "alerts.yaml": alerts}


def _rules(alerts: Sequence[Alert]) -> list[dict[str, Any]]:
    return [alert.rule() for alert in alerts]


def rule_files() -> Mapping[str, str]:
    """The texts of the files, by name."""
    return {
        name: _MADE + yaml.safe_dump({"groups": groups}, sort_keys=False, width=10_000)
        for name, groups in _groups().items()
    }


def group_order() -> list[str]:
    """Names of the groups, those first that others use."""
    return [group["name"] for groups in _groups().values() for group in groups]


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file_name, text in rule_files().items():
        (FOLDER / file_name).write_text(text)
