"""Drain: an instance leaves the cluster, shards first, member record last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from actors.cluster.leases import ACTIVE, DRAINING, JOINING, RENEW_S, LeasesAway
from actors.cluster.reconciler import Reconciler

FORSAKE_S = 1.0


async def leave(reconciler: Reconciler, within_s: float) -> None:
    """Hand over every shard to the other members, within a limit of time.

    It ends also without lease store and journal. Shards that are left are taken over when their leases end.
    """
    shards = reconciler.runtime.cells
    try:
        async with asyncio.timeout(within_s):
            reconciler.become(DRAINING)
            with suppress(TimeoutError):  # a member may have joined since the last tick
                async with asyncio.timeout(RENEW_S):
                    await reconciler.next_tick()
            while shards.held() and _has_heirs(reconciler):
                reconciler.look()
                await reconciler.handover.changed()
    except TimeoutError:
        reconciler.runtime.log("gave_up_leaving", shards=len(shards.held()))


def _has_heirs(reconciler: Reconciler) -> bool:
    """True while another member serves, or is joining."""
    states = {member.state for member in reconciler.membership.members}
    return bool(states & {ACTIVE, JOINING}) and reconciler.lease_state.sure()


async def forsake(reconciler: Reconciler) -> None:
    """Remove the own leases and member record, so that the other members need not wait for their end.

    To be called after the last commit, when the reconciler has ended.
    """
    runtime = reconciler.runtime
    try:
        async with asyncio.timeout(FORSAKE_S):
            await reconciler.leases.leave(runtime.incarnation, runtime.instance)
    except (TimeoutError, LeasesAway):
        runtime.log("left_leases_behind")


@asynccontextmanager
async def forsaking(reconciler: Reconciler) -> AsyncIterator[None]:
    """Forsake at the end of the block, also after an error: there are no more commits."""
    try:
        yield
    finally:
        await forsake(reconciler)
