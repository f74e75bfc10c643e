"""One suite for an implementation in memory and for the real one: whatever Postgres or Redis does, its twin does.

Map:
conftest.py              the fixture `world`: in memory, then on Postgres
world.py                 a journal with a zone, a store, products, drivers and a customer
test_journal.py          the journal: orders, drivers, feeds, shards, the fence
test_pickups.py          the stores of an order, and its stock
test_terms.py            the customer's wishes and the zone's rules at placing
test_learned_times.py  what a new order gets of what was learned, and what its zone reads
test_promises.py  when a new order is expected and promised at the door
test_plan_steps.py       inputs of the planner's steps: stored, found, deleted
test_placing_batches.py  batches of new orders
test_outbox.py           rows of the outbox, with the facts of their events
test_jobs.py             jobs, their leases and outcomes; schedules; the relay
test_webhooks.py         endpoints of webhooks and the log: claims, settlements, replays
test_leases.py           lease stores: in memory and on Valkey
test_geo.py              the search around a place: a box, and PostGIS where it is installed
"""
