"""A rolling update of the Deployment under load: nothing fails, and no driver is sent away twice."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.fleet.load import NAMES, open_load
from loadtests.fleet.reconnecting import COMMANDS, ReconnectingDrivers
from loadtests.fleet.rolling import ORDERED, drivers_at_work
from loadtests.fleet.setup import FleetOptions, FleetSetup, open_setup
from loadtests.kit.report import LoadReport
from tests.acceptance.kubelet.cluster import PodCluster, open_pods
from tests.acceptance.kubelet.template import PodTemplate
from tests.house.deploy.manifests import overlay


def judge(report: LoadReport, group: ReconnectingDrivers, cluster: PodCluster) -> None:
    """What a rolling update must not cost."""
    failed = {
        name: dict(report.tally(name).errors) for name in (*NAMES, ORDERED, *COMMANDS, "position", "line")
    }
    assert {name: errors for name, errors in failed.items() if errors} == {}
    assert group.worst == 1, dict(group.rounds)
    assert group.cut == 0
    assert cluster.balancer.refused == 0
    pods = cluster.deployment.pods
    assert [pod.name for pod in pods if pod.restarts or pod.killed] == []
    assert sum(not pod.leaving for pod in pods) == cluster.deployment.template.replicas


async def roll_out_under_load(
    setup: FleetSetup, cluster: PodCluster, template: PodTemplate | None = None, *, orders_per_s: float = 2.0
) -> ReconnectingDrivers:
    """Drivers at work and customers who order, during one rolling update."""
    async with drivers_at_work(setup, orders_per_s) as (group, phones):
        before = len(cluster.deployment.pods)
        await cluster.deployment.roll_out(template)
        assert len(cluster.deployment.pods) == 2 * before
        group.new_round(len(phones))
    return group


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_rolling_update_fails_nothing_and_sends_each_driver_away_once(short_tmp_path: Path) -> None:
    report = LoadReport("rolling update", limited=False)
    options = FleetOptions("rolling", drivers=16, limits=False)
    async with (
        open_pods(
            short_tmp_path / "roll", overlay("single"), replicas=2, pace=0.2, settings={"MALL_DRAIN_S": "1"}
        ) as cluster,
        open_setup(options, cluster, report) as setup,
    ):
        group = await roll_out_under_load(setup, cluster)
        judge(report, group, cluster)
        assert group.delivered > 0


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_two_hundred_drivers_and_a_full_load_feel_no_rolling_update(short_tmp_path: Path) -> None:
    gc.disable()
    report = LoadReport("rolling update", limited=False)
    options = FleetOptions("rolling", drivers=200, limits=False)
    try:
        async with (
            open_pods(
                short_tmp_path / "roll-long", overlay("ha"), replicas=4, pace=1, settings={}
            ) as cluster,
            open_setup(options, cluster, report) as setup,
            open_load(setup, 60),
        ):
            group = await roll_out_under_load(setup, cluster, orders_per_s=8.0)
            judge(report, group, cluster)
            assert group.delivered > 100
    finally:
        gc.enable()
    print(group.rounds, report.facts, {name: len(t.seconds) for name, t in report.tallies.items()})


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_without_the_pause_before_sigterm_connections_are_refused(short_tmp_path: Path) -> None:
    """The reason for `preStop` in the manifest; and the balancer here does notice."""
    report = LoadReport("no pause", limited=False)
    options = FleetOptions("rolling", drivers=16, limits=False)
    async with (
        open_pods(
            short_tmp_path / "hasty", overlay("single"), replicas=2, pace=0.2, settings={"MALL_DRAIN_S": "0"}
        ) as cluster,
        open_setup(options, cluster, report) as setup,
    ):
        for pod in cluster.deployment.pods:
            pod.template = replace(pod.template, pause_s=0.0)
        async with drivers_at_work(setup, 8.0):
            await cluster.deployment.roll_out()
        assert cluster.balancer.refused > 0
