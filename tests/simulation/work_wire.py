"""The wire between a worker process and the store: calls are slow, lost, or land when their caller has given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storage.errors import NotDone, Unreachable

if TYPE_CHECKING:
    from tests.simulation.work import WorkHost


class WorkWire:
    """Implements dispatch.jobs.stored.JobQueries and dispatch.webhooks.ports.WebhookQueries for one life of a host.

    Attributes:
        alive: the process lives; what it has sent arrives in any case.
        begun: attempts whose functions began in this life: (job, attempt).
    """

    def __init__(self, host: WorkHost, life: int) -> None:
        self.host = host
        self.worker = f"{host.name}/{life}"
        self.alive = True
        self.begun: set[tuple[int, int]] = set()

    async def rows(self, name: str, *args: Any) -> list[Any]:
        return list(await self.value(name, *args))

    async def row(self, name: str, *args: Any) -> Any:
        found = await self.rows(name, *args)
        return found[0] if found else None

    async def value(self, name: str, *args: Any) -> Any:
        """One round trip."""
        host, rng, loop = self.host, self.host.work.rng, self.host.work.world.loop
        faults = host.work.world.faults
        if not self.alive:
            raise Unreachable("dead")
        if host.store_is_down() and rng.random() < 0.5:
            await asyncio.sleep(rng.uniform(0.001, 0.05))
            host.troubled_at = max(host.troubled_at, loop.time())
            raise NotDone("no connection")
        answer: asyncio.Future[Any] = loop.create_future()
        there = rng.uniform(0.05, 0.4) if rng.random() < faults.slow else rng.uniform(0.0005, 0.004)
        back, lost = rng.uniform(0.0002, 0.002), rng.random()

        def lose() -> None:
            if not answer.done():
                host.troubled_at = max(host.troubled_at, loop.time())
                answer.set_exception(Unreachable("lost"))

        def give(value: Any) -> None:
            if host.frozen_s():
                loop.call_later(host.frozen_s(), give, value)
            elif not answer.done():
                answer.set_result(value)

        def arrive() -> None:
            if host.store_is_down() or lost < faults.lost_request:
                loop.call_later(rng.uniform(0.0, 0.2), lose)
                return
            value = self._do(name, args, late=answer.done())
            if host.store_is_down() or lost > 1 - faults.lost_answer:
                loop.call_later(back, lose)
            else:
                loop.call_later(back, give, value)

        if rng.random() < faults.lands_late:
            loop.call_later(rng.uniform(0.0, 0.05), lose)
            there += rng.uniform(0.0, faults.late_s)
        loop.call_later(there + host.frozen_s(), arrive)
        return await answer

    def _do(self, name: str, args: tuple[Any, ...], *, late: bool) -> Any:
        """What the store does, and whether it should have."""
        work = self.host.work
        checks, hooks = work.checks, work.hooks
        query = work.jobs._calls.get(name) or hooks.store._calls[name]
        now = work.world.loop.time()
        value: Any
        match name:
            case "claim_jobs":
                value = checks.at_claim(self.host, now, lambda: query(*args))
            case "finish_jobs":
                value = checks.at_finish(self.worker, now, args[1], lambda: query(*args))
            case "extend_jobs":
                value = checks.at_extend(
                    self.worker, frozenset() if late else self.begun, lambda: query(*args)
                )
            case "relay_outbox":
                value = checks.at_relay(lambda: query(*args))
                if not work.world.faults.lost_answer:
                    hooks.logged(now)
                work.notify()
            case "webhooks_settle":
                value = hooks.at_settle(args[0], lambda: query(*args))
            case _:
                value = query(*args)
        return value
