"""A Deployment: as many pods as wanted, and a rolling update as the controller of Kubernetes does it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.acceptance.kubelet.pod import Node, Pod
from tests.acceptance.kubelet.template import PodTemplate

# The controller is told of changes; here it looks for them.
LOOK_S = 0.1


class Deployment:
    """The pods of a template, and of the one before it while they are replaced.

    Args:
        address: gives the next pod's address.
    """

    def __init__(self, template: PodTemplate, node: Node, address: Callable[[], str]) -> None:
        self.template = template
        self.pods: list[Pod] = []
        self._node, self._address = node, address
        self._generation = 1
        self._numbers = itertools.count(1)
        self._old: list[Pod] = []
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def ready(self) -> list[Pod]:
        """Endpoints of the service, the youngest last."""
        return [pod for pod in self.pods if pod.ready]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Deployment]:
        """Keep pods until the block ends, then delete them all."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield self
            finally:
                for pod in self.pods:
                    pod.delete()

    async def roll_out(self, template: PodTemplate | None = None) -> None:
        """Replace all pods by such of a template, or make the first ones; returns when the old ones have ended."""
        self._old = [pod for pod in self.pods if not pod.leaving]
        self.template = template or self.template
        self._generation += bool(self._old)
        while not self._is_done():
            self.step()
            await asyncio.sleep(LOOK_S)

    def step(self) -> None:
        """What the controller does when it looks: up by the surge, down by what is available beyond the number."""
        wanted, living = self.template.replicas, [pod for pod in self.pods if not pod.leaving]
        new = [pod for pod in living if pod not in self._old]
        room = min(wanted - len(new), wanted + self.template.surge - len(living))
        for _ in range(max(0, room)):
            self._make()
        spare = sum(pod.available for pod in living) - (wanted - self.template.unavailable)
        going = sorted((pod for pod in self._old if not pod.leaving), key=lambda pod: pod.available)
        for pod in going:
            if spare > 0 or not pod.available:
                spare -= pod.available
                pod.delete()

    def _is_done(self) -> bool:
        new = [pod for pod in self.pods if pod not in self._old and not pod.leaving]
        return (
            len(new) == self.template.replicas
            and all(pod.available for pod in new)
            and all(pod.gone for pod in self._old)
        )

    def _make(self) -> None:
        assert self._tasks is not None
        name = f"{self.template.name}-{self._generation}-{next(self._numbers)}"
        pod = Pod(name, self._address(), self.template, self._node)
        self.pods.append(pod)
        self._tasks.create_task(pod.run(), name=name)
