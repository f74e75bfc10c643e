"""Pods behind a balancer, over a Postgres and a Valkey of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from loadtests.fleet.instances import LocalCluster
from loadtests.kit.client import open_http
from loadtests.kit.server import ROOT
from loadtests.kit.stores import Stores, open_stores
from tests.acceptance.kubelet.balancer import Balancer
from tests.acceptance.kubelet.deployment import Deployment
from tests.acceptance.kubelet.pod import Node
from tests.acceptance.kubelet.template import read_template
from tests.house.deploy.manifests import Manifest

# Until a balancer knows that a pod leaves. The pause before SIGTERM must be longer.
LATE_S = 2.0
PORT = 8080


class PodCluster(LocalCluster):
    """What the clients of the load tests know as a cluster; its one address is the balancer's."""

    def __init__(
        self,
        folder: Path,
        http: aiohttp.ClientSession,
        stores: Stores,
        deployment: Deployment,
        balancer: Balancer,
    ) -> None:
        super().__init__(folder, http, stores, {})
        self.deployment = deployment
        self.balancer = balancer

    @property
    def urls(self) -> list[str]:
        return [self.balancer.url]


def addresses() -> Callable[[], str]:
    """Addresses of pods that no other test process uses."""
    numbers, pid = itertools.count(1), os.getpid()
    return lambda: f"127.{64 + pid % 128}.{pid // 128 % 256}.{next(numbers)}"


@asynccontextmanager
async def open_pods(
    folder: Path,
    objects: Sequence[Manifest],
    *,
    replicas: int,
    pace: float,
    settings: dict[str, str],
    tree: Path = ROOT,
) -> AsyncIterator[PodCluster]:
    """The instances of a manifest, ready behind a balancer.

    Args:
        settings: of an overlay for this test.
        tree: the checkout of the first pods; one of another version begins without an init container.
    """
    template = replace(read_template(objects, "mall").at_pace(pace), replicas=replicas, tree=tree)
    if tree != ROOT:
        template = replace(template, init=())
    with open_stores(folder, durable=False) as stores:
        secrets = {**stores.environ, "MALL_ADMIN_PASSWORD": "a password for tests"}
        node = Node(secrets, {"MALL_RATE_LIMITS": "off", "MALL_SAMPLE": "off", **settings}, folder)
        deployment = Deployment(template, node, addresses())
        async with open_http(20) as http, deployment.running():
            await deployment.roll_out()
            balancer = Balancer(lambda: deployment.ready, PORT, LATE_S * pace)
            async with balancer.running():
                yield PodCluster(folder, http, stores, deployment, balancer)
