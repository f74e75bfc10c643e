"""The simulator finds what is planted into webhooks, each defect within 300 seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from dispatch.webhooks.delivery import WebhookDelivery
from dispatch.webhooks.settling import ClaimLedger
from dispatch.webhooks.values import LoggedEvent, Settlement
from storage.memory.webhooks import MemoryEndpoint, MemoryWebhooks
from tests.simulation.test_planted import Plant, finds
from tests.simulation.wires import Faults


def _cursor_moves_before_the_answer(patch: pytest.MonkeyPatch) -> Faults:
    send = WebhookDelivery._send_event

    async def hasty(self: WebhookDelivery, event: LoggedEvent) -> float | None:
        self.ledger.advance(event.pos, self.ledger.trouble)
        return await send(self, event)

    patch.setattr(WebhookDelivery, "_send_event", hasty)
    return Faults()


def _failed_event_is_passed_over(patch: pytest.MonkeyPatch) -> Faults:
    send = WebhookDelivery._send_event

    async def careless(self: WebhookDelivery, event: LoggedEvent) -> float | None:
        await send(self, event)
        return None

    patch.setattr(WebhookDelivery, "_send_event", careless)
    return Faults()


def _release_forgets_wakes(patch: pytest.MonkeyPatch) -> Faults:
    """An event that came between the last look at the log and the release wakes nobody."""
    store = MemoryWebhooks._store

    def deaf(self: MemoryWebhooks, one: MemoryEndpoint, item: Mapping[str, Any], lease_s: float) -> None:
        store(self, one, {**item, "wakes": one.wakes}, lease_s)

    patch.setattr(MemoryWebhooks, "_store", deaf)
    return Faults()


def _settlements_have_no_fence(patch: pytest.MonkeyPatch) -> Faults:
    """A settlement counts for the endpoint, whichever claim it is of."""
    settle = MemoryWebhooks._settle

    def lenient(self: MemoryWebhooks, items: Sequence[Mapping[str, Any]], lease_ms: int) -> list[int]:
        return settle(self, [{**item, "claim": self.endpoints[item["id"]].claim} for item in items], lease_ms)

    patch.setattr(MemoryWebhooks, "_settle", lenient)
    return Faults(evil_every_s=2.0)


def _settlement_has_the_cursor_of_later(patch: pytest.MonkeyPatch) -> Faults:
    """All that was read counts as sent."""
    take = ClaimLedger.take

    def hasty(self: ClaimLedger) -> Settlement | None:
        if self.claim.live and not self.lost:
            self.reached += 1
        return take(self)

    patch.setattr(ClaimLedger, "take", hasty)
    return Faults()


# What is planted, and what the finding must say.
PLANTED: dict[str, tuple[Plant, str]] = {
    "the cursor moves before the answer": (_cursor_moves_before_the_answer, "is beyond undelivered events"),
    "a failed event is passed over": (_failed_event_is_passed_over, "got event \\d+ before"),
    "a release forgets wakes": (
        _release_forgets_wakes,
        "an event was sent .* late, though nothing was wrong|never got events",
    ),
    "settlements have no fence": (_settlements_have_no_fence, "were settled too late"),
    "a settlement has the cursor of later": (
        _settlement_has_the_cursor_of_later,
        "is beyond undelivered events",
    ),
}
QUICK = ("the cursor moves before the answer", "a release forgets wakes", "settlements have no fence")


@pytest.mark.parametrize("name", QUICK)
def test_common_defect_of_webhooks_is_found(name: str) -> None:
    plant, said = PLANTED[name]
    assert finds(plant, said)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in PLANTED if name not in QUICK])
def test_planted_defect_of_webhooks_is_found(name: str) -> None:
    plant, said = PLANTED[name]
    assert finds(plant, said)
