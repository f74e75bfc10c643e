"""What a server's log tells of faults of its own."""

from __future__ import annotations

import json

# A store that answers late, on a machine with other work, is no fault of the server.
OF_THE_MACHINE = frozenset({"lost"})


def faults_in(log: str) -> list[str]:
    """The error lines of a log, but for those about the machine."""
    lines = [line for line in log.splitlines() if '"level":"error"' in line]
    return [line for line in lines if json.loads(line)["event"] not in OF_THE_MACHINE]
