"""The named profiles: who comes when, for how long, and which limits must be kept. Pure.

Sizes are what two cores carry that locust, the server, Postgres and Valkey share. Larger ones are a matter
of `--users` and of more machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from loadtests.rush.think_times import CALM, GREEDY, ThinkTimes


@dataclass(frozen=True, slots=True)
class ProfileLimits:
    """What must hold at the end, or the run has failed.

    Attributes:
        rest_p99_ms, command_p99_ms, connect_p99_ms: of all requests, of all commands on a socket, of hello
            and resume together.
        offer_p99_ms: from the moment an entry says it was written until the app has it.
        error_share: of everything that was tried; expected answers such as out_of_stock are no errors.
        orders_per_customer, deliveries_per_driver: at least, so that an idle run does not pass.
        lag_p99_ms: how late the generator itself was; beyond it the other numbers mean nothing.
    """

    rest_p99_ms: float
    command_p99_ms: float
    connect_p99_ms: float
    offer_p99_ms: float
    error_share: float
    orders_per_customer: float
    deliveries_per_driver: float
    lag_p99_ms: float


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of rush.

    Attributes:
        modes: a zone for each, in this mode; users are spread over them evenly.
        drivers_s, ramp_s: over how long drivers come, then customers.
        seconds: the whole run.
        stock: units of each product; None never runs out.
        storms_s: when all drivers are cut at once; after the last cut they read their log from its start.
        away_s: how long they are away.
    """

    name: str
    about: str
    customers: int
    drivers: int
    drivers_s: float
    ramp_s: float
    seconds: float
    bounds: ProfileLimits
    modes: tuple[str, ...] = ("waves", "open")
    capacity: int = 2
    products: int = 2
    stock: int | None = None
    storms_s: tuple[float, ...] = ()
    away_s: float = 2.0
    think_times: ThinkTimes = field(default=CALM)

    @property
    def users(self) -> int:
        return self.customers + self.drivers

    def resized(self, users: int | None, seconds: float | None) -> Profile:
        """The same rush with that many users, drivers and customers in proportion, for that long.

        Times within the run shrink and grow with it; stock goes with the customers.
        """
        made = self
        if users is not None:
            drivers = min(max(1, users - 1), max(1, round(users * self.drivers / self.users)))
            customers = max(1, users - drivers)
            stock = None if self.stock is None else max(1, round(self.stock * customers / self.customers))
            made = replace(made, drivers=drivers, customers=customers, stock=stock)
        if seconds is not None:
            by = seconds / self.seconds
            storms_s = tuple(at * by for at in self.storms_s)
            made = replace(
                made,
                seconds=seconds,
                drivers_s=self.drivers_s * by,
                ramp_s=self.ramp_s * by,
                storms_s=storms_s,
                bounds=replace(
                    self.bounds,
                    orders_per_customer=self.bounds.orders_per_customer * min(1.0, by),
                    deliveries_per_driver=self.bounds.deliveries_per_driver * min(1.0, by),
                ),
            )
        return made

    def users_at(self, at_s: float) -> tuple[int, float] | None:
        """How many users there are to be, and how many may come in a second; None when all is over."""
        if at_s >= self.seconds:
            return None
        if at_s < self.drivers_s:
            return self.drivers, max(1.0, self.drivers / self.drivers_s)
        return self.users, max(1.0, self.customers / max(self.ramp_s, 0.1))


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                "smoke",
                "a few users: does everything work at all",
                customers=12, drivers=8, drivers_s=2, ramp_s=3, seconds=30,
                bounds=ProfileLimits(
                    rest_p99_ms=500, command_p99_ms=500, connect_p99_ms=1000, offer_p99_ms=500,
                    error_share=0.0, orders_per_customer=0.5, deliveries_per_driver=0.4, lag_p99_ms=100,
                ),
            ),
            Profile(
                "peak",
                "the evening of a mall: customers and drivers come, and stay",
                customers=360, drivers=160, drivers_s=10, ramp_s=20, seconds=90,
                bounds=ProfileLimits(
                    rest_p99_ms=500, command_p99_ms=500, connect_p99_ms=1000, offer_p99_ms=500,
                    error_share=0.001, orders_per_customer=2.0, deliveries_per_driver=2.0, lag_p99_ms=100,
                ),
            ),
            Profile(
                "flash",
                "a flash sale: everybody wants the same two products within seconds, and they run out",
                customers=400, drivers=40, drivers_s=5, ramp_s=4, seconds=45,
                modes=("waves",), stock=100, think_times=GREEDY,
                bounds=ProfileLimits(
                    rest_p99_ms=1500, command_p99_ms=1000, connect_p99_ms=1000, offer_p99_ms=1000,
                    error_share=0.001, orders_per_customer=0.2, deliveries_per_driver=0.5, lag_p99_ms=200,
                ),
            ),
            Profile(
                "reconnect",
                "all drivers are cut at once, three times; the last time they read everything again",
                customers=80, drivers=150, drivers_s=8, ramp_s=4, seconds=60,
                storms_s=(20, 32, 44),
                bounds=ProfileLimits(
                    rest_p99_ms=1000, command_p99_ms=1000, connect_p99_ms=3000, offer_p99_ms=1000,
                    error_share=0.001, orders_per_customer=1.0, deliveries_per_driver=0.3, lag_p99_ms=200,
                ),
            ),
        )
    }
)  # fmt: skip
