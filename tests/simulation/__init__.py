"""Seeded runs of the whole core under a virtual clock: lost answers, restarts, kills, invariants.

Map:
loop.py             an event loop without real time: the clock jumps, ready tasks run in seeded order
world.py            the model store behind a bad wire; clients; a nemesis
node.py             one host with its instance: started, killed, frozen, drained
wires.py            what lies between an instance and its stores and peers, and the faults there
evil.py             the nemesis: faults drawn from the seed
work.py             worker processes: relays, workers, tasks that note what they did, their nemesis
work_wire.py        what lies between a worker process and the store
webhook_world.py    endpoints, receivers that hang and fail, and what must hold of webhooks
work_checks.py      what must hold of outbox, event log and jobs
checks.py           what must hold at every commit and at the end
run.py              one seed: storm, calm, result
__main__.py         `python -m tests.simulation --seed N` or `--seeds N`
seeds.txt           seeds that once failed; they stay
test_simulation.py  seeds that must hold; a seed repeats exactly
test_planted.py     planted defects, each found within 300 seeds
test_planted_work.py  planted defects of background work
test_planted_webhooks.py  planted defects of webhooks
test_attempts.py    repeated attempts of one command
test_doubts.py      reads while a lease is in another name
test_versions.py    instances of a newer version among older ones
"""
