"""Drivers who work: they take offers after a moment, pick up, deliver, and are free again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from loadtests.kit.protocol import LOSING
from loadtests.kit.report import LoadReport
from loadtests.swarm.phone import PhoneGroup, SentCommand, SwarmPhone

OFFER = "offer to socket"
# What an acceptance may be told besides `won`: somebody was faster, or the offer has run out.
TOO_LATE = LOSING - {"driver_offline"}
DONE = {"order.pickup": "picked_up", "order.delivery": "delivered"}


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """How long a driver takes, in seconds: from and to."""

    reaction_s: tuple[float, float]
    pickup_s: tuple[float, float]
    delivery_s: tuple[float, float]


BRISK = ServiceTimes((0.2, 1.0), (0.5, 1.5), (0.5, 1.5))
REAL = ServiceTimes((2.0, 5.0), (10.0, 20.0), (15.0, 25.0))


class WorkingDrivers(PhoneGroup):
    """Drivers with one slot each.

    Attributes:
        told: what acceptances were told.
        delivered: orders brought.
    """

    def __init__(self, report: LoadReport, url: str, tag: str, chance: Random, pace: ServiceTimes) -> None:
        super().__init__(report, url, tag)
        self.chance = chance
        self.pace = pace
        self.told: Counter[str] = Counter()
        self.delivered = 0
        self.earliest_ms = 0.0

    def event(self, phone: SwarmPhone, frame: dict[str, Any]) -> None:
        """An offer, or the next step of an order."""
        loop, data, pace = asyncio.get_running_loop(), frame["data"], self.pace
        match frame["type"]:
            case "offer":
                # The entry's time is that of the decision, in whole milliseconds: the commit is in it.
                late_s = time.time() - frame["at_ms"] / 1000
                self.earliest_ms = min(self.earliest_ms, late_s * 1000)
                self.report.done(OFFER, max(0.0, late_s))
                phone.offer = data["offer_id"]
                loop.call_later(
                    self._after(pace.reaction_s), self._accept, phone, phone.offer, data["order_id"]
                )
            case "order.assigned":
                phone.order = data["order_id"]
                loop.call_later(self._after(pace.pickup_s), self._go_on, phone, "order.pickup", phone.order)
            case "order.picked_up":
                loop.call_later(
                    self._after(pace.delivery_s), self._go_on, phone, "order.delivery", phone.order
                )
            case "order.delivered":
                phone.order = ""
                self.delivered += 1
            case _:  # an order that was taken away: its next step finds phone.order changed
                phone.order = ""

    def _after(self, span: tuple[float, float]) -> float:
        return self.chance.uniform(*span)

    def _accept(self, phone: SwarmPhone, offer: str, order: str) -> None:
        if not self.over and phone.offer == offer:
            phone.offer = ""
            phone.ask("offer.accept", orders=[order], offer_id=offer)

    def _go_on(self, phone: SwarmPhone, command: str, order: str) -> None:
        if not self.over and phone.order == order:
            phone.ask(command, order_id=order)

    def revoked(self, phone: SwarmPhone, frame: dict[str, Any]) -> None:
        """Somebody was faster: the offer is not taken any more."""
        if phone.offer == frame["offer_id"]:
            phone.offer = ""

    def answered(self, frame: dict[str, Any], asked: SentCommand, now: float) -> None:
        """A refusal that belongs to the game is counted; every other is an error."""
        result = str(frame.get("code") or frame.get("result") or "")
        if asked.name == "offer.accept" and frame["t"] == "reply":
            result = str(frame["results"][0]["result"])
            self.told[result] += 1
            wanted = result == "won" or result in TOO_LATE
        else:
            wanted = frame["t"] == "pong" or result == DONE.get(asked.name, "now_online")
        if wanted:
            self.report.done(asked.name, now - asked.began)
        else:
            self.report.failed(asked.name, result)

    def facts(self) -> dict[str, Any]:
        """For the report."""
        return {
            "accepts": dict(self.told),
            "delivered": self.delivered,
            "earliest_offer_ms": round(self.earliest_ms, 1),
        }
