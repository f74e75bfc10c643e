"""What locust plays: customers and drivers, in the shape of a profile. loadtests/rush starts it.

`python -m loadtests.rush --profile smoke` (headless) or with `--page` (locust's page). The profile, the
server's address and the people come in a file that the runner writes; see loadtests/rush/play.py.
"""

from __future__ import annotations

from locust import LoadTestShape, events

from loadtests.rush.customer import Customer
from loadtests.rush.driver import Driver
from loadtests.rush.studio import STUDIO

__all__ = ["Customer", "Driver", "Shape"]


class Shape(LoadTestShape):  # type: ignore[misc]
    """Drivers first, then customers, then the end: as the profile says."""

    def tick(self) -> tuple[int, float] | None:
        """Locust asks once a second."""
        return STUDIO.profile.users_at(self.get_run_time())


STUDIO.listen(events)
