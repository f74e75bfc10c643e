"""Probes: what restarts a container, and what must not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.kit.waiting import until
from storage.embedded import EmbeddedValkey
from tests.acceptance.kubelet.cluster import addresses
from tests.acceptance.kubelet.deployment import Deployment
from tests.acceptance.kubelet.pod import Node, Pod
from tests.acceptance.kubelet.template import PodTemplate, Probe, read_template
from tests.house.deploy.manifests import overlay

LIMIT_S = 90.0
pytestmark = pytest.mark.timeout(300)
PACE = 0.1


def one_pod(name: str = "mall") -> PodTemplate:
    """A Deployment of one pod, whose probes are ten times as fast."""
    return replace(read_template(overlay("single"), name).at_pace(PACE), replicas=1, init=())


@asynccontextmanager
async def pod_of(
    template: PodTemplate, database_url: str, valkey: EmbeddedValkey, folder: Path
) -> AsyncIterator[Pod]:
    """A pod that was just made."""
    secrets = {
        "DATABASE_URL": database_url, "REDIS_URL": valkey.redis_url, "MALL_ADMIN_PASSWORD": "a password for tests",
    }  # fmt: skip
    async with Deployment(
        template, Node(secrets, {"MALL_DRAIN_S": "0"}, folder), addresses()
    ).running() as pods:
        pods.step()
        [pod] = pods.pods
        yield pod


async def probed(pod: Pod, probe: Probe, times: int) -> None:
    """Wait for so many more answers, or time-outs, of a probe."""
    wanted = pod.probed[probe.path] + times
    assert await until(lambda: pod.probed[probe.path] >= wanted, LIMIT_S)


async def test_pod_whose_redis_is_away_starts_is_not_ready_and_is_not_restarted(
    database_url: str, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    valkey.stop()
    async with pod_of(one_pod(), database_url, valkey, tmp_path) as pod:
        assert await until(lambda: pod.started, LIMIT_S)
        await probed(pod, pod.template.liveness, 2 * pod.template.liveness.failures)
        assert (pod.ready, pod.restarts) == (False, 0)
        valkey.start()
        assert await until(lambda: pod.ready, LIMIT_S)
        assert pod.restarts == 0
    assert not pod.killed


async def test_outage_of_redis_restarts_nothing_and_takes_no_pod_out_of_the_service(
    database_url: str, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    async with pod_of(one_pod(), database_url, valkey, tmp_path) as pod:
        assert await until(lambda: pod.ready, LIMIT_S)
        valkey.stop()
        await probed(pod, pod.template.liveness, 2 * pod.template.liveness.failures)
        await probed(pod, pod.template.readiness, 2 * pod.template.readiness.failures)
        assert (pod.ready, pod.restarts) == (True, 0)
        valkey.start()


async def test_startup_probe_that_asks_for_the_whole_start_would_restart_the_pod(
    database_url: str, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    """The reason for the probe in the manifest; and the kubelet here does restart."""
    template = one_pod()
    impatient = replace(template.startup, path="/health/startup", failures=10)
    valkey.stop()
    async with pod_of(replace(template, startup=impatient), database_url, valkey, tmp_path) as pod:
        assert await until(lambda: pod.restarts > 0, LIMIT_S)


async def test_process_that_hangs_is_restarted_under_the_name_of_its_pod(
    database_url: str, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    template = replace(one_pod(), grace_s=1.0, pause_s=0.0)
    template = replace(template, liveness=replace(template.liveness, timeout_s=0.5))
    async with pod_of(template, database_url, valkey, tmp_path) as pod:
        assert await until(lambda: pod.ready, LIMIT_S)
        pod.freeze()
        assert await until(lambda: pod.restarts == 1 and pod.ready, LIMIT_S)


async def test_worker_starts_without_redis_and_ends_in_time(
    database_url: str, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    valkey.stop()
    async with pod_of(one_pod("mall-worker"), database_url, valkey, tmp_path) as pod:
        assert await until(lambda: pod.ready, LIMIT_S)
        assert pod.restarts == 0
    assert not pod.killed
