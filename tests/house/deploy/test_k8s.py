"""The manifests of `config/deploy/k8s`: built by the real kustomize, valid for three versions of Kubernetes, and safe.

No API server runs here, so nothing is said about admission or about what a cluster makes of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config.deploy.operator_rules import MADE, rules_text
from tests.house.deploy import policies
from tests.house.deploy.manifests import K8S, OVERLAYS, Manifest, build, named, of_kind, overlay, pod_of
from tests.house.deploy.policies import POLICIES, Policy

VERSIONS = ("1.31", "1.34", "1.37")
# Kinds of the Prometheus operator: the validator has no schema of them.
WITHOUT_SCHEMA = ("PodMonitor", "PrometheusRule")


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(name: str, version: str) -> None:
    checked = 0
    for thing in overlay(name):
        if thing["kind"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(thing, version, strict=True)
            checked += 1
    assert checked >= 12


@pytest.mark.parametrize("version", VERSIONS)
def test_validator_finds_a_word_that_kubernetes_does_not_know(version: str) -> None:
    deployment = named(overlay("single"), "Deployment", "mall")
    pod_of(deployment)["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(deployment, version, strict=True)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("name", OVERLAYS)
def test_policy_is_kept(name: str, policy: Policy) -> None:
    assert policy(overlay(name)) == []


def _container(objects: Sequence[Manifest], deployment: str = "mall") -> Manifest:
    found: Manifest = pod_of(named(objects, "Deployment", deployment))["containers"][0]
    return found


def _env(objects: Sequence[Manifest], name: str) -> Manifest:
    [found] = [entry for entry in _container(objects)["env"] if entry["name"] == name]
    entry: Manifest = found
    return entry


def _policy(objects: Sequence[Manifest], name: str) -> Manifest:
    spec: Manifest = named(objects, "NetworkPolicy", name)["spec"]
    return spec


def _settings(objects: Sequence[Manifest]) -> dict[str, str]:
    [found] = of_kind(objects, "ConfigMap")
    data: dict[str, str] = found["data"]
    return data


Plant = Callable[[list[Manifest]], Any]
# A fault, and the policy that finds it.
FAULTS: dict[str, tuple[Policy, Plant]] = {
    "the start waits for Redis": (
        policies.probes,
        lambda o: _container(o)["startupProbe"].update(httpGet={"path": "/health/startup", "port": "ops"}),
    ),
    "no probe of life": (policies.probes, lambda o: _container(o).pop("livenessProbe")),
    "no probe of a worker": (policies.probes, lambda o: _container(o, "mall-worker").pop("readinessProbe")),
    "a start has no time": (policies.probes, lambda o: _container(o)["startupProbe"].update(failureThreshold=5)),
    "life depends on Postgres": (
        policies.probes,
        lambda o: _container(o)["livenessProbe"].update(httpGet={"path": "/health/readiness", "port": "ops"}),
    ),
    "probes at the public port": (
        policies.probes,
        lambda o: _container(o)["readinessProbe"].update(httpGet={"path": "/health/readiness", "port": "http"}),
    ),
    "no pause before SIGTERM": (policies.endings, lambda o: _container(o).pop("lifecycle")),
    "too little grace": (
        policies.endings,
        lambda o: pod_of(named(o, "Deployment", "mall")).update(terminationGracePeriodSeconds=20),
    ),
    "an old one goes first": (
        policies.endings,
        lambda o: named(o, "Deployment", "mall")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    ),
    "no limit of memory": (policies.limits, lambda o: _container(o)["resources"].pop("limits")),
    "a limit of the processor": (
        policies.limits, lambda o: _container(o)["resources"]["limits"].update(cpu="1")
    ),
    "the newest image": (policies.images, lambda o: _container(o).update(image="mall-delivery-dispatch:latest")),
    "an image without a tag": (policies.images, lambda o: _container(o).update(image="mall-delivery-dispatch")),
    "root": (
        policies.restricted,
        lambda o: pod_of(named(o, "Deployment", "mall"))["securityContext"].update(runAsNonRoot=False),
    ),
    "a root that can be written": (
        policies.restricted,
        lambda o: _container(o)["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    "capabilities": (policies.restricted, lambda o: _container(o)["securityContext"].pop("capabilities")),
    "a token": (
        policies.restricted,
        lambda o: pod_of(named(o, "Deployment", "mall")).pop("automountServiceAccountToken"),
    ),
    "a namespace for everything": (
        policies.restricted, lambda o: of_kind(o, "Namespace")[0]["metadata"]["labels"].clear()
    ),
    "a setting that does not exist": (policies.known_settings, lambda o: _settings(o).update(MALL_DRAINS="8")),
    "a setting that is wrong": (policies.known_settings, lambda o: _settings(o).update(MALL_LOG_FORMAT="xml")),
    "a variable that does not exist": (
        policies.known_settings, lambda o: _container(o)["env"].append({"name": "MALL_NAME", "value": "x"})
    ),
    "a password in a ConfigMap": (
        policies.secrets, lambda o: _settings(o).update(DATABASE_URL="postgresql://a:b@c/d")
    ),
    "a password in the Deployment": (
        policies.secrets,
        lambda o: _container(o)["env"].append({"name": "MALL_GATEWAY_KEY", "value": "x"}),
    ),
    "the wrong secret": (
        policies.secrets,
        lambda o: _env(o, "REDIS_URL")["valueFrom"]["secretKeyRef"].update(key="DATABASE_URL"),
    ),
    "a worker knows the administrator": (
        policies.secrets,
        lambda o: _container(o, "mall-worker")["env"].append(_env(o, "MALL_ADMIN_PASSWORD")),
    ),
    "another port than the setting": (policies.ports, lambda o: _settings(o).update(MALL_PEER_PORT="7947")),
    "a service without a port": (
        policies.ports,
        lambda o: named(o, "Service", "mall")["spec"]["ports"][0].update(targetPort="web"),
    ),
    "operators' port in public": (
        policies.ports,
        lambda o: named(o, "Service", "mall")["spec"]["ports"][0].update(targetPort="ops"),
    ),
    "a budget of no pods": (
        policies.selectors,
        lambda o: named(o, "PodDisruptionBudget", "mall")["spec"].update(
            selector={"matchLabels": {"app.kubernetes.io/name": "mole"}}
        ),
    ),
    "nodes cannot be emptied": (
        policies.disruptions,
        lambda o: named(o, "PodDisruptionBudget", "mall")["spec"].update(maxUnavailable=0),
    ),
    "all on one host": (
        policies.disruptions,
        lambda o: pod_of(named(o, "Deployment", "mall")).update(topologySpreadConstraints=[]),
    ),
    "a number beside the autoscaler": (
        policies.scaling, lambda o: named(o, "Deployment", "mall")["spec"].update(replicas=4)
    ),
    "down in a rush": (
        policies.scaling,
        lambda o: of_kind(o, "HorizontalPodAutoscaler")[0]["spec"]["behavior"]["scaleDown"].update(
            stabilizationWindowSeconds=0
        ),
    ),
    "open by default": (policies.closed, lambda o: _policy(o, "closed").update(policyTypes=["Ingress"])),
    "operators' port open to all": (policies.closed, lambda o: _policy(o, "mall-ops")["ingress"][0].pop("from")),
    "peers' port open to all": (policies.closed, lambda o: _policy(o, "mall")["ingress"][1].pop("from")),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(fault: str) -> None:
    policy, plant = FAULTS[fault]
    objects = overlay("ha")
    assert policy(objects) == []
    plant(objects)
    assert policy(objects) != []


def test_every_policy_has_found_a_fault() -> None:
    assert {policy for policy, _ in FAULTS.values()} == set(POLICIES)


def _from(folder: Path, target: Path) -> str:
    """A path as kustomize wants it."""
    return os.path.relpath(target, folder.resolve())


def test_monitoring_is_a_component_that_any_overlay_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = K8S / "overlays" / "ha"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert "components" not in kustomization
    made = tmp_path_factory.mktemp("with-monitoring")
    path = {
        "resources": [_from(made, folder)],
        "components": [_from(made, K8S / "components" / "monitoring")],
    }
    head = {"apiVersion": kustomization["apiVersion"], "kind": "Kustomization"}
    (made / "kustomization.yaml").write_text(yaml.safe_dump(head | path))
    objects = build(made)
    assert {thing["kind"] for thing in objects} >= set(WITHOUT_SCHEMA)
    assert [problem for policy in POLICIES for problem in policy(objects)] == []
    jobs = {
        monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: endpoint["relabelings"][0]
        for monitor in of_kind(objects, "PodMonitor")
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    }
    # The alerts count `up` of job `mall` as instances.
    assert {kind: relabeling["replacement"] for kind, relabeling in jobs.items()} == {
        "instance": "mall", "worker": "mall-worker",
    }  # fmt: skip


def test_rules_of_the_operator_are_those_of_prometheus() -> None:
    assert MADE.read_text() == rules_text(), "run python -m config.deploy.operator_rules"
