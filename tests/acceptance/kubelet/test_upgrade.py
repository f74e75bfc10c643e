"""A rolling upgrade from the previous release: its database is migrated under load, while both versions run.

TEST_PREVIOUS_RELEASE names the release: a tag or a commit of this repository.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from loadtests.fleet.setup import FleetOptions, open_setup
from loadtests.kit.report import LoadReport
from loadtests.kit.server import ROOT
from storage.postgres.migrate import newest_revision
from tests.acceptance.kubelet.cluster import open_pods
from tests.acceptance.kubelet.template import read_template
from tests.acceptance.kubelet.test_rolling import judge, roll_out_under_load
from tests.house.deploy.manifests import overlay
from tests.support.program import run

PREVIOUS = os.environ.get("TEST_PREVIOUS_RELEASE", "")
PACE = 0.2
REASON = "UPGRADE NOT TESTED: set TEST_PREVIOUS_RELEASE to a tag or commit, such as the release that is running now"
# What both versions must leave as it was: of orders that had ended before.
ENDED = """SELECT o.id, o.status, o.version, o.customer_id, o.driver_id,
                  (SELECT count(*) FROM order_events e WHERE e.order_id = o.id) AS events
             FROM orders o WHERE o.status IN ('delivered', 'cancelled', 'failed') AND o.id = ANY ($1::bigint[])
            ORDER BY o.id"""


@pytest.fixture(scope="module")
def previous_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the previous release."""
    folder = tmp_path_factory.mktemp("previous")
    packed = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=False)
    assert packed.returncode == 0, packed.stderr.decode()
    subprocess.run(["tar", "-x"], cwd=folder, input=packed.stdout, check=True)
    return folder


async def ask(database_url: str, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(database_url)
    try:
        return [tuple(row) for row in await connection.fetch(text, *arguments)]
    finally:
        await connection.close()


@pytest.mark.skipif(not PREVIOUS, reason=REASON)
@pytest.mark.long
@pytest.mark.timeout(600)
async def test_upgrade_under_load_fails_nothing_and_keeps_what_the_previous_release_wrote(
    short_tmp_path: Path, previous_tree: Path
) -> None:
    report = LoadReport("upgrade", limited=False)
    options = FleetOptions("rolling", drivers=16, limits=False)
    objects = overlay("single")
    async with (
        open_pods(
            short_tmp_path / "upgrade", objects, replicas=2, pace=PACE, settings={"MALL_DRAIN_S": "1"},
            tree=previous_tree,
        ) as cluster,
        open_setup(options, cluster, report) as setup,
    ):  # fmt: skip
        url = cluster.stores.postgres.database_url
        zone = await setup.open_zone("open")
        written = [int(order.rpartition("_")[2]) for order in await setup.place(zone, 40)]
        for number in written[:20]:
            await setup.admin.do("POST", f"/api/v2/orders/ord_{number}/cancellation", {"reason": "test"})
        ended = await ask(url, ENDED, written)
        assert len(ended) == 20
        template = replace(read_template(objects, "mall").at_pace(PACE), replicas=2)
        group = await roll_out_under_load(setup, cluster, template)
        judge(report, group, cluster)
        assert await ask(url, "SELECT version_num FROM alembic_version") == [(newest_revision()[0],)]
        assert await ask(url, ENDED, written[:20]) == ended
        code, said = await run("verify", DATABASE_URL=url)
        assert code == 0, said
