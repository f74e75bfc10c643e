"""One run's results, clock and accounts, shared by all users of a locust process. Imports locust's gevent."""

from __future__ import annotations

import os
import random
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Protocol

import gevent
import orjson

from loadtests.rush.plan import PLAN_VARIABLE, RESULTS_VARIABLE, Participant, RunPlan, read_plan
from loadtests.rush.profiles import Profile
from loadtests.rush.results import RunResults

LAG_STEP_S = 0.05
STOCK_S = 10.0


class Cuttable(Protocol):
    """A driver whose connection can be cut."""

    def cut(self, *, reread: bool) -> None: ...


class RunState:
    """What all users share.

    Attributes:
        results: what the run has measured so far.
        drivers: those at work.
        clock_ms: the server's wall clock minus ours, by the quickest welcome so far.
    """

    def __init__(self, plan: RunPlan, results_path: Path) -> None:
        self.plan = plan
        self.profile: Profile = plan.profile
        self.results_path = results_path
        self.results = RunResults()
        self.chance = random.Random(os.getpid())
        self.drivers: set[Cuttable] = set()
        self.clock_ms: float | None = None
        self._free: dict[str, list[Participant]] = {}
        self._request: Any = None
        self._began = 0.0
        self._beside: list[Any] = []

    # -- the run ------------------------------------------------------------------------------

    def listen(self, events: Any) -> None:
        """Follow locust's events."""
        self._request = events.request
        events.test_start.add_listener(self.begin)
        events.test_stop.add_listener(self.end)
        events.request.add_listener(self.measured)
        events.user_error.add_listener(self.broken)

    def begin(self, **_: Any) -> None:
        """A run begins: everything from zero."""
        self.results = RunResults()
        self._free = {"customer": list(self.plan.customers), "driver": list(self.plan.drivers)}
        if self.profile.stock is not None:
            self.results.had = self._stock(self.profile.stock)
        self._began = time.perf_counter()
        self._beside = [gevent.spawn(self._watch_lag), gevent.spawn(self._storms)]

    def end(self, **_: Any) -> None:
        """The run is over and its users are gone: write what was measured."""
        gevent.killall(self._beside, timeout=1.0)
        self.results.report.took_s = time.perf_counter() - self._began
        if self.profile.stock is not None:
            self.results.left = self._stock()
        self.results.write(self.results_path)

    def _stock(self, restock: int | None = None) -> dict[str, int]:
        """What the server says is there of each product, perhaps set first; nothing of what it does not say."""
        found = {}
        for product in self.plan.products:
            # The address is the tester's own, from the command line.
            request = urllib.request.Request(  # noqa: S310
                f"{self.plan.url}/api/v2/products/{product}",
                data=None if restock is None else orjson.dumps({"stock": restock}),
                headers={
                    "Authorization": f"Bearer {self.plan.owner}",
                    "Content-Type": "application/json",
                    "If-Match": "*",
                },
                method="GET" if restock is None else "PATCH",
            )
            try:
                with urllib.request.urlopen(request, timeout=STOCK_S) as answer:  # noqa: S310
                    found[product] = int(orjson.loads(answer.read())["stock"])
            except (OSError, ValueError):
                continue
        return found

    def _watch_lag(self) -> None:
        """How late this process comes to what it wants to do."""
        while True:
            began = time.perf_counter()
            gevent.sleep(LAG_STEP_S)
            self.results.lags.append(max(0.0, time.perf_counter() - began - LAG_STEP_S))

    def _storms(self) -> None:
        """Cut all drivers at once, at the profile's times."""
        for number, at_s in enumerate(self.profile.storms_s, 1):
            gevent.sleep(max(0.0, self._began + at_s - time.perf_counter()))
            for driver in list(self.drivers):
                driver.cut(reread=number == len(self.profile.storms_s))
                self.results.counts["lines cut"] += 1

    # -- accounts -----------------------------------------------------------------------------

    def assign(self, role: str) -> Participant:
        """An account of that role that no other user has at the moment.

        Raises:
            IndexError: more users than accounts; the plan has one for each.
        """
        return self._free[role].pop()

    def leave(self, role: str, user: Participant) -> None:
        """Another user may have that account."""
        self._free[role].append(user)

    # -- measures -----------------------------------------------------------------------------

    def measured(
        self, request_type: str, name: str, response_time: float, exception: object, **_: Any
    ) -> None:
        """Locust's event of one operation."""
        name = f"{request_type} {name}"
        if exception is None:
            self.results.report.done(name, response_time / 1000)
        else:
            self.results.report.failed(name, str(exception)[:120])

    def broken(self, exception: BaseException, **_: Any) -> None:
        """A user has raised: our own mistake, or an answer that no user understands."""
        self.results.report.failed("user", f"{type(exception).__name__}: {exception}"[:120])

    def feed(self, name: str, took_s: float, why: str | None = None) -> None:
        """Tell locust of an operation on a socket."""
        self._request.fire(
            request_type="WS",
            name=name,
            response_time=took_s * 1000,
            response_length=0,
            exception=None if why is None else RuntimeError(why),
            context={},
        )

    def set_clock(self, server_ms: float) -> None:
        """A welcome has come: whichever took least time knows the server's clock best."""
        seen = server_ms - time.time() * 1000
        self.clock_ms = seen if self.clock_ms is None else max(seen, self.clock_ms)

    def age_s(self, at_ms: float) -> float:
        """How long ago that was by the server's clock."""
        return max(0.0, (time.time() * 1000 + (self.clock_ms or 0.0) - at_ms) / 1000)


def _open() -> RunState:
    if PLAN_VARIABLE not in os.environ or RESULTS_VARIABLE not in os.environ:
        sys.exit("this locustfile is run by `python -m loadtests.rush`, which sets the mall up first")
    return RunState(read_plan(Path(os.environ[PLAN_VARIABLE])), Path(os.environ[RESULTS_VARIABLE]))


STATE = _open()
