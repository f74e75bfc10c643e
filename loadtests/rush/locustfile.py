"""What locust loads: customers and drivers, in the shape of a profile. `loadtests/rush` starts it.

`python -m loadtests.rush --profile smoke` (headless) or with `--page` (locust's page). The profile, the
server's address and the accounts come in a file that the runner writes; see plan.py.
"""

from __future__ import annotations

from locust import LoadTestShape, events

from loadtests.rush.customer import RushCustomer
from loadtests.rush.driver import RushDriver
from loadtests.rush.run_state import STATE

__all__ = ["RushCustomer", "RushDriver", "Shape"]


class Shape(LoadTestShape):  # type: ignore[misc]
    """Drivers first, then customers, then the end: as the profile says."""

    def tick(self) -> tuple[int, float] | None:
        """Locust asks once a second."""
        return STATE.profile.users_at(self.get_run_time())


STATE.listen(events)
