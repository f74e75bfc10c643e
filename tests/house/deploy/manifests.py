"""Overlays of `config/deploy/k8s`, built as `kubectl apply -k` builds them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from loadtests.kit.server import ROOT

K8S = ROOT / "config" / "deploy" / "k8s"
OVERLAYS = ("single", "ha")
KUBECTL = Path(sys.executable).with_name("kubectl")

Manifest = dict[str, Any]


@cache
def built_text(folder: Path) -> str:
    """What kustomize makes of a folder.

    Raises:
        AssertionError: it refuses.
    """
    done = subprocess.run(
        [KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(folder: Path) -> list[Manifest]:
    """The objects of an overlay, fresh at each call."""
    return list(yaml.safe_load_all(built_text(folder)))


def overlay(name: str) -> list[Manifest]:
    """The objects of one of OVERLAYS."""
    return build(K8S / "overlays" / name)


def of_kind(objects: Sequence[Manifest], kind: str) -> list[Manifest]:
    """Objects of one kind."""
    return [thing for thing in objects if thing["kind"] == kind]


def named(objects: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    [found] = [thing for thing in of_kind(objects, kind) if thing["metadata"]["name"] == name]
    return found


def pod_of(deployment: Manifest) -> Manifest:
    """The specification of a Deployment's pods."""
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def containers(deployment: Manifest) -> Iterator[Manifest]:
    """All containers of a Deployment, those of its start first."""
    pod = pod_of(deployment)
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def settings_of(objects: Sequence[Manifest], container: Manifest) -> dict[str, str]:
    """The settings that a container has from ConfigMaps."""
    maps = {thing["metadata"]["name"]: thing["data"] for thing in of_kind(objects, "ConfigMap")}
    given: dict[str, str] = {}
    for source in container.get("envFrom", []):
        given |= maps[source["configMapRef"]["name"]]
    return given
