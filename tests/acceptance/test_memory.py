"""100,000 resident actors fit in 250 MiB."""

from __future__ import annotations

import json
import subprocess
import sys

ACTORS = 100_000
LIMIT_MIB = 250

# Run in a process of its own: the resident size of this one says nothing.
PROGRAM = """
import asyncio, gc, json, time
from actors.clock import LoopClock, SystemRandomness
from actors.messages import ActorId
from actors.messages import Seed
from actors.runtime import Runtime
from dispatch import messages as m
from dispatch.driver_actor import DriverBehaviour
from dispatch.order_actor import OrderBehaviour
from dispatch.zone_actor import ZoneBehaviour
from storage.memory.journal import MemoryJournal

def resident_mib():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024

class Nobody:
    def emit(self, emit, trace): ...

async def main(orders, drivers):
    journal = MemoryJournal(time.time)
    journal.add_zone(1); journal.add_store(1, 1); journal.add_product(1, 1)
    clock = LoopClock(asyncio.get_running_loop())
    runtime = Runtime(instance="one", behaviours=[OrderBehaviour(), DriverBehaviour("e"), ZoneBehaviour()],
                      journal=journal, emitter=Nobody(),
                      clock=clock, entropy=SystemRandomness(), cells_max=10**6)
    async with runtime.running():
        gc.collect(); before = resident_mib()
        for n in range(1, orders + 1):
            row = {"id": n, "shard": 0, "zone_id": 1, "store_id": 1, "customer_id": n,
                   "pickups": [[1, f"store {n % 500}", n % 500 / 1e6, n % 500 / 2e6, n % 999, [0, 1]]],
                   "ready_each": None,
                   "contact_name": f"Ann {n}", "contact_phone": None,
                   "status": "delivered", "version": 5, "driver_id": n,
                   "round": 1, "mode": "waves", "search": {"wave": 1, "count": 3, "offers": [], "tried": [n, n + 1]},
                   "writer": "",
                   "recent": [[f"{n:024x}", f"{k:016x}", ["won", "assigned", 3]] for k in range(3)],
                   "dropoff_lat": n / 3e6, "dropoff_lon": n / 4e6, "address": f"Some Street {n}, third floor",
                   "payment": "cash", "notes": f"ring {n}", "total_minor": n, "currency": "EUR", "created_ms": n,
                   "updated_ms": n, "ready_ms": n, "due_ms": None,
                   "items": [[n, f"product {n % 5000}", 2, 450], [n + 1, f"product {n % 4999}", 1, 900]]}
            runtime.tell(ActorId("order", n), m.Created(), seed=Seed(clock.monotonic(), row))
            if n % 500 == 0:
                await runtime.ask(ActorId("order", n), m.View(), budget_s=60)
        for n in range(1, drivers + 1):
            row = {"id": n, "zone_id": 1, "name": f"driver {n}", "account": "active", "status": "online", "capacity": 1,
                   "version": 1, "feed_seq": 9, "recent": [], "writer": "", "lat": 1.0, "lon": 2.0, "carrying": [],
                   "unreachable_ms": None}
            runtime.tell(ActorId("driver", n), m.DriverView(), seed=Seed(clock.monotonic(), row))
        while await runtime.ask(ActorId("order", orders), m.View(), budget_s=60) is None: ...
        gc.collect()
        print(json.dumps({"actors": runtime.cells.cells_count(), "mib": resident_mib() - before}))

asyncio.run(main(ORDERS, DRIVERS))
"""


def test_hundred_thousand_actors_fit_in_250_mib() -> None:
    program = PROGRAM.replace("main(ORDERS, DRIVERS)", "main(90_000, 10_000)")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["actors"] >= ACTORS
    assert found["mib"] < LIMIT_MIB, found
    print(found)
