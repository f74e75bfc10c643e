"""What a Deployment says about its pods, as far as the kubelet here plays it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.kit.server import ROOT
from tests.house.deploy.manifests import Manifest, named, pod_of, settings_of

# The image's interpreter is the one that runs the tests.
PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Probe:
    """An HTTP probe; `failures` in a row have a consequence."""

    path: str
    port: int
    period_s: float
    timeout_s: float
    failures: int


@dataclass(frozen=True, slots=True)
class Container:
    """A container: its arguments, its variables, and of these the fields of its pod and the keys of secrets."""

    name: str
    args: tuple[str, ...]
    settings: Mapping[str, str]
    fields: Mapping[str, str]
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A pod of a Deployment. `tree` stands for its image: the checkout that it runs from."""

    name: str
    replicas: int
    surge: int
    unavailable: int
    ready_s: float
    init: tuple[Container, ...]
    main: Container
    startup: Probe
    liveness: Probe
    readiness: Probe
    pause_s: float
    grace_s: float
    tree: Path = ROOT

    def at_pace(self, pace: float) -> PodTemplate:
        """The same with all periods and pauses shortened; a start has as much time as before, and so has an end."""
        startup, liveness, readiness = (
            replace(probe, period_s=probe.period_s * pace)
            for probe in (self.startup, self.liveness, self.readiness)
        )
        startup = replace(startup, failures=round(startup.failures / pace))
        return replace(
            self, startup=startup, liveness=liveness, readiness=readiness,
            ready_s=self.ready_s * pace, pause_s=self.pause_s * pace,
        )  # fmt: skip


def read_template(objects: Sequence[Manifest], name: str) -> PodTemplate:
    """The template of a Deployment."""
    deployment = named(objects, "Deployment", name)
    spec, pod = deployment["spec"], pod_of(deployment)
    [main] = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    startup, liveness, readiness = (
        _probe(main[f"{kind}Probe"], ports) for kind in ("startup", "liveness", "readiness")
    )
    rolling = spec["strategy"]["rollingUpdate"]
    return PodTemplate(
        name=name,
        replicas=spec.get("replicas", 1),
        surge=rolling["maxSurge"],
        unavailable=rolling["maxUnavailable"],
        ready_s=spec.get("minReadySeconds", 0),
        init=tuple(_container(objects, container) for container in pod.get("initContainers", [])),
        main=_container(objects, main),
        startup=startup,
        liveness=liveness,
        readiness=readiness,
        pause_s=main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0),
        grace_s=pod["terminationGracePeriodSeconds"],
    )


def _probe(probe: Manifest, ports: Mapping[str, int]) -> Probe:
    asked = probe["httpGet"]
    return Probe(
        asked["path"], ports[asked["port"]], probe["periodSeconds"], probe["timeoutSeconds"],
        probe["failureThreshold"],
    )  # fmt: skip


def _container(objects: Sequence[Manifest], container: Manifest) -> Container:
    fields, secrets = {}, {}
    for entry in container.get("env", []):
        source = entry["valueFrom"]
        if "fieldRef" in source:
            fields[entry["name"]] = source["fieldRef"]["fieldPath"]
        else:
            secrets[entry["name"]] = source["secretKeyRef"]["key"]
    return Container(
        container["name"], tuple(container["args"]), settings_of(objects, container), fields, secrets
    )


def image_entry() -> tuple[list[str], dict[str, str]]:
    """The entry point of the image, and its variables without PATH."""
    text = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", "")
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    assert entry is not None
    variables = dict(re.findall(r"\b([A-Z_]+)=(\S+)", "".join(re.findall(r"^ENV (.*)$", text, re.MULTILINE))))
    variables.pop("PATH")
    return json.loads(entry[1]), variables
