"""The format for lnav: valid, and it understands lines. Where lnav is installed it is asked itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loadtests.kit.server import ROOT

FILE = ROOT / "config" / "deploy" / "logs" / "lnav" / "mall.json"
FORMAT: dict[str, Any] = json.loads(FILE.read_text())["mall_log"]
SCHEMA: dict[str, Any] = json.loads((ROOT / "config" / "deploy" / "logs.schema.json").read_text())
LINES = [
    {"ts": "2026-11-30T12:00:00.000001Z", "level": "info", "event": "answered_request", "instance": "mall-1",
     "trace_id": "ab" * 16, "order_id": "ord_501", "duration_s": 0.5, "status": 201},
    {"ts": "2026-11-30T12:00:01.000001Z", "level": "error", "event": "lost", "instance": "mall-2", "reason": "gone"},
]  # fmt: skip


def test_sample_of_the_format_is_a_valid_line() -> None:
    for sample in FORMAT["sample"]:
        jsonschema.validate(json.loads(sample["line"]), SCHEMA)


def test_fields_of_the_format_are_those_of_the_contract() -> None:
    assert sorted(set(FORMAT["value"]) - set(SCHEMA["properties"])) == []
    assert set(FORMAT["level"]) == set(SCHEMA["properties"]["level"]["enum"])


def test_lnav_finds_an_order_and_its_errors_in_lines(tmp_path: Path) -> None:
    lnav = shutil.which("lnav")
    if lnav is None:
        text = "LNAV NOT ASKED: apt-get install lnav"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8"}
    installed = subprocess.run(
        [lnav, "-i", str(FILE)], capture_output=True, text=True, env=environ, timeout=60
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    path = tmp_path / "server.log"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    query = ";SELECT log_level, instance, event, trace_id, duration_s FROM mall_log ORDER BY log_time"
    done = subprocess.run(
        [lnav, "-n", "-c", query, "-c", ":write-json-to -", str(path)], capture_output=True, text=True,
        env=environ, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout) == [
        {"log_level": "info", "instance": "mall-1", "event": "answered_request", "trace_id": "ab" * 16,
         "duration_s": 0.5},
        {"log_level": "error", "instance": "mall-2", "event": "lost", "trace_id": None, "duration_s": None},
    ], done.stdout + done.stderr  # fmt: skip
