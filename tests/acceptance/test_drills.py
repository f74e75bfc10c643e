"""Two short drills: the only instance is killed, and Postgres stands still. The long ones are `make drill`.

Scrapes are five seconds apart here, evaluations one; how long an alert must hold, and Alertmanager's pauses, are two
fifths of what is shipped; rules, windows and routes are the shipped ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.drill.drill import drill
from loadtests.drill.faults import FAULTS
from loadtests.drill.monitoring import BRISK, find_programs

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        find_programs() is None,
        reason="needs Prometheus and Alertmanager (apt-get install prometheus prometheus-alertmanager)",
    ),
]
STEADY_S = 8.0


async def test_killed_instance_is_paged_for_and_the_page_ends_when_it_is_back(short_tmp_path: Path) -> None:
    done = await drill(
        FAULTS["kill"],
        short_tmp_path / "drill-kill",
        print,
        pace=BRISK,
        steady_s=STEADY_S,
        mended_after_s=0.0,
    )
    assert set(done.told) == {"MallDown"}
    assert done.cleared_s is not None
    assert done.foreign == []


async def test_postgres_that_stands_still_is_paged_for(short_tmp_path: Path) -> None:
    """Its end is not waited for: errors leave the window of the burn after five minutes."""
    fault = FAULTS["postgres_frozen"]
    done = await drill(
        fault, short_tmp_path / "drill-postgres", print, pace=BRISK, steady_s=STEADY_S, mended_after_s=0.0, clears=False
    )  # fmt: skip
    assert done.found_s is not None
    assert set(done.told) <= set(fault.alerts)
    assert done.foreign == []
