"""compose files: read by the real compose, linted, and what they mount and scrape is there.

No Docker engine runs here: nothing is said about images, or about what their programs make of their configuration.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import Settings
from config.version import VERSION
from loadtests.kit.server import ROOT

ALONE = ("compose.yaml",)
WHOLE = ("compose.yaml", "config/deploy/compose/observability.yaml")
GIVEN = {
    "POSTGRES_PASSWORD": "of-postgres", "REDIS_PASSWORD": "of-redis", "MALL_ADMIN_PASSWORD": "of-the-admin",
    "GRAFANA_PASSWORD": "of-grafana",
}  # fmt: skip
# By rule: why it stays. The first is there as long as no digest is given in .env; the second is the public port.
KNOWN: dict[str, set[str] | None] = {"CL-0019": None, "CL-0005": {"mall"}}
# Of the file that compose has filled in: passwords of this test stand in it.
FILLED_IN: dict[str, set[str] | None] = {"CL-0020": None, "CL-0021": None}


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def compose(files: tuple[str, ...], **environ: str) -> subprocess.CompletedProcess[str]:
    """`docker compose config`. Its exit code is lost by the package that brings it."""
    named = [word for file in files for word in ("-f", file)]
    return subprocess.run(
        [_tool("docker-compose"), *named, "config"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environ}, timeout=60,
    )  # fmt: skip


@cache
def text_of(files: tuple[str, ...]) -> str:
    done = compose(files, **GIVEN)
    assert done.stderr == ""
    assert done.stdout
    return done.stdout


def model(files: tuple[str, ...]) -> dict[str, Any]:
    """The project as compose understands it."""
    found: dict[str, Any] = yaml.safe_load(text_of(files))
    return found


def lint(path: Path) -> list[dict[str, Any]]:
    """Findings of compose-lint."""
    done = subprocess.run(
        [_tool("compose-lint"), "check", "--no-env", "--no-merge-overrides", "--format", "json", str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["errors"] == []
    found: list[dict[str, Any]] = report["findings"]
    return found


def unexcused(findings: list[dict[str, Any]], excused: dict[str, set[str] | None]) -> list[str]:
    """What is found and has no excuse."""
    return [
        f"{found['service']}: {found['rule_id']} {found['message']}"
        for found in findings
        if found["rule_id"] not in excused
        or found["service"] not in (excused[found["rule_id"]] or {found["service"]})
    ]


@pytest.mark.parametrize("files", [ALONE, WHOLE], ids=["alone", "whole"])
def test_compose_understands_every_word(files: tuple[str, ...]) -> None:
    services = model(files)["services"]
    assert set(services) >= {"postgres", "redis", "mall", "worker"}
    assert ("grafana" in services) == (files == WHOLE)


@pytest.mark.parametrize("missing", GIVEN)
def test_compose_refuses_without_a_password(missing: str) -> None:
    done = compose(WHOLE, **{name: value for name, value in GIVEN.items() if name != missing})
    assert done.stdout == ""
    assert missing in done.stderr


def test_compose_finds_a_word_that_it_does_not_know(tmp_path: Path) -> None:
    planted = tmp_path / "planted.yaml"
    planted.write_text("services: {mall: {stop_grace_perod: 20s}}\n")
    done = compose((*ALONE, str(planted)), **GIVEN)
    assert done.stdout == ""
    assert "stop_grace_perod" in done.stderr


def test_linter_finds_nothing_that_is_not_excused(tmp_path: Path) -> None:
    assert unexcused(lint(ROOT / "compose.yaml"), KNOWN) == []
    whole = tmp_path / "whole.yaml"
    whole.write_text(text_of(WHOLE))
    assert unexcused(lint(whole), KNOWN | FILLED_IN) == []


@pytest.mark.parametrize("key", ["read_only", "cap_drop", "security_opt", "deploy"])
def test_linter_finds_a_service_that_is_not_closed(key: str, tmp_path: Path) -> None:
    planted = model(WHOLE)
    del planted["services"]["worker"][key]
    path = tmp_path / "planted.yaml"
    path.write_text(yaml.safe_dump(planted))
    assert [text for text in unexcused(lint(path), KNOWN | FILLED_IN) if text.startswith("worker")] != []


@pytest.mark.parametrize("files", [ALONE, WHOLE], ids=["alone", "whole"])
def test_variables_of_the_program_are_settings_and_its_image_has_the_version(files: tuple[str, ...]) -> None:
    aliases = {str(field.alias) for field in Settings.model_fields.values()}
    services = model(files)["services"]
    for name in ("mall", "worker"):
        given = services[name]["environment"]
        assert sorted(set(given) - aliases) == []
        Settings.model_validate({k: v for k, v in given.items() if v}, context={"founds": name == "mall"})
        assert services[name]["image"] == f"mall-delivery-dispatch:{VERSION}"
    assert services["mall"]["environment"]["MALL_WORK"] == "off"
    assert services["worker"]["command"] == ["work"]


def test_every_image_has_a_version_and_may_be_given_by_digest() -> None:
    images = [re.findall(r"image: (\S+)", (ROOT / file).read_text()) for file in WHOLE]
    for image in [name for found in images for name in found]:
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/-]+:[v0-9][\w.-]*\}", image), image


def test_only_the_public_port_is_open_to_others() -> None:
    opened = [
        (name, port["published"])
        for name, service in model(WHOLE)["services"].items()
        for port in service.get("ports", [])
        if port.get("host_ip") != "127.0.0.1"
    ]
    assert opened == [("mall", "8080")]


def test_everything_that_is_mounted_is_in_the_repository() -> None:
    mounted = [
        Path(volume["source"])
        for service in model(WHOLE)["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]
    assert len(mounted) >= 6
    assert [path for path in mounted if not path.exists()] == []
    assert all(path.is_relative_to(ROOT) for path in mounted)


def test_prometheus_asks_services_that_are_there_under_names_that_they_answer_to() -> None:
    services = model(WHOLE)["services"]
    config = yaml.safe_load((ROOT / "config" / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert set(jobs) == {"mall", "mall-worker", "prometheus"}
    for target in (*jobs["mall"], *jobs["mall-worker"]):
        host, port = target.split(":")
        assert services[host]["environment"]["MALL_OPS_NAMES"] == host
        assert int(port) == Settings.model_fields["ops_port"].default
    [manager] = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert manager.split(":")[0] in services


def test_grafana_is_provisioned_with_sources_that_are_there() -> None:
    folder = ROOT / "config" / "deploy" / "grafana" / "provisioning"
    services = model(WHOLE)["services"]
    sources = yaml.safe_load((folder / "datasources" / "mall.yaml").read_text())["datasources"]
    assert {source["url"].split("/")[2].split(":")[0] for source in sources} <= set(services)
    [provider] = yaml.safe_load((folder / "dashboards" / "mall.yaml").read_text())["providers"]
    targets = [volume["target"] for volume in services["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets
