"""Tests of the actors of orders, drivers and zones, and of the domain.

Map:
work.py              stored jobs in memory, and workers on them, under a virtual clock
test_job_worker.py   the worker of background jobs: its end, lost leases, a store that is away, suspects
planning_worlds.py   towns for the planner, a walk through its trips, the best of all plans
pooling_worlds.py    malls for the planner that pools, and a check of its trips
test_pooling.py      who rides with whom, who waits, what never happens for a partner
test_hindsight.py    the bound of what trips could have saved, against the best of all trips
test_pooling_figures.py  what the trips of a day saved
test_driver_feed.py  the driver's feed: each position once, whatever order things arrive in
test_pickup_queue.py  the queue at the stores: who has a place, who is told of it, who is asked first
test_order_sharing.py  what a share link shows: when the driver is shown, rounded places and times
test_placed.py       an order that was just placed: its zone is told once
test_creation_locks.py   creations that another program's lock blocks
test_webhook_policy.py  what follows from the answer of a receiver
test_webhook_sender.py  the sender on a store in memory: order, failures, replays, lost answers
test_steps.py        steps of jobs: the record that a worker leaves when it is killed
test_trace_story.py  log lines of a trace id, and the order of time
test_watchers.py     who may follow an order live, and how many streams each may have
"""
