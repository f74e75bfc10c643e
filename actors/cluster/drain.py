"""How an instance leaves the cluster: its shards first, its name last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from actors.cluster.leases import ACTIVE, DRAINING, JOINING, RENEW_S, LeasesAway
from actors.cluster.reconciler import Reconciler

FORSAKE_S = 1.0


async def leave(reconciler: Reconciler, within_s: float) -> None:
    """Give every shard to those who stay, as far as that goes in time. Needs neither lease store nor journal to
    end: what is not given by then is taken over when the leases are gone.
    """
    shards = reconciler.runtime.cells
    try:
        async with asyncio.timeout(within_s):
            reconciler.become(DRAINING)
            with suppress(TimeoutError):  # somebody may have come since the last tick
                async with asyncio.timeout(RENEW_S):
                    await reconciler.next_tick()
            while shards.held() and _has_heirs(reconciler):
                reconciler.look()
                await reconciler.handover.changed()
    except TimeoutError:
        reconciler.runtime.log("gave_up_leaving", shards=len(shards.held()))


def _has_heirs(reconciler: Reconciler) -> bool:
    """True while somebody serves, or is about to."""
    states = {member.state for member in reconciler.membership.members}
    return bool(states & {ACTIVE, JOINING}) and reconciler.lease_state.sure()


async def forsake(reconciler: Reconciler) -> None:
    """After the last commit, with the keeper closed: remove the own leases and record, so that nobody waits for
    them to end.
    """
    runtime = reconciler.runtime
    try:
        async with asyncio.timeout(FORSAKE_S):
            await reconciler.leases.leave(runtime.incarnation, runtime.instance)
    except (TimeoutError, LeasesAway):
        runtime.log("left_leases_behind")


@asynccontextmanager
async def forsaking(reconciler: Reconciler) -> AsyncIterator[None]:
    """Forsake when the block ends, also when a room in it failed to close: it commits nothing any more."""
    try:
        yield
    finally:
        await forsake(reconciler)
