"""The server is killed and Postgres restarted under load: a short run of loadtests/faults/crash.py."""

from __future__ import annotations

from pathlib import Path

from loadtests.faults.crash import CrashPlan, crash
from loadtests.faults.history import NOT_PROCESSED, OK, UNKNOWN


async def test_no_promise_is_broken_when_the_server_is_killed_and_postgres_restarted(
    short_tmp_path: Path,
) -> None:
    plan = CrashPlan(kills=3, restarts=1, seconds_between=1.0, drivers=6, customers=3, durable=False)
    findings = await crash(plan, short_tmp_path / "crash")
    assert findings.violations == [], "\n".join(findings.lines())
    outcomes = [answer.outcome for intent in findings.history.intents for answer in intent.answers]
    # Or nothing would have been at stake.
    assert outcomes.count(OK) > 300
    assert UNKNOWN in outcomes
    assert NOT_PROCESSED in outcomes
    assert [driver.who for driver in findings.drivers if not driver.resumed] == []
