"""Dispatch: actors, services and domain of orders, drivers and zones.

Map:
domain/             decisions and values; pure, standard library only
messages.py         messages between actors, and their replies
wire_types.py       messages that may travel between instances
feed_tail.py        newest entries of a driver's log, in memory
feed_frames.py      frames of a driver's feed
order_actor.py      orders as actors
driver_state.py     state of a driver's actor
driver_liveness.py  signs of life in its turns
driver_actor.py     drivers as actors: availability, position, feed
zone_state.py       state of a zone's actor
zone_plan.py        what a zone keeps for its planner
zone_live.py        what operators who look at a zone are told each second
zone_watching.py     turns of a zone for operators who look at it
zone_expiry.py      ends offers that cannot lead to anything, and searches that find no driver
zone_ladder.py      where orders stand on the zone's offer ladder
zone_predictions.py  when drivers will be free, and orders at the door
zone_planning.py    what a step of the planner is told, and the offers that follow
plan_steps.py       computes steps: small ones at once, others in a process
step_inputs.py      what a step was told, in a compact form
step_log.py         stores the inputs of steps that led to offers, in the background
compiled_planner.py  makes and finds the planner as machine code
pickup_queue.py     free drivers at a zone's stores, in the sequence of their arrival
first_offers.py     waits for the first offers of a zone's orders
zone_actor.py       zones as actors: open orders, free drivers, offers
order_progress.py   counters of orders: events, times from placing to each stage
order_creation.py   what a customer orders, and the result
order_shares.py     share links of orders
accounts.py         registration, passwords, reset links
sessions.py         sessions of accounts: open, refresh, end
users.py            users and drivers as admins change them
catalogue.py        zones, stores, products
records.py          lists and single records that are only read
trace_story.py      what one request has caused, by its trace id
decision_story.py   why an order was offered to whom, in sentences
decision_replay.py  makes planned decisions again, and compares the answers
credentials.py      signing keys, revocations
provisioning.py     first rows of a database, sample data, users in bulk
errors.py           refusals of these services
ports.py            what these services need of storage and of actors
service.py          every operation on orders and drivers, one short method each
notices/            what customers, stores, drivers and operators are told by mail and SMS
payment_notes.py    a payment in the history of its order
payments.py         hold, capture, release, refund: steps that are repeated until their outcome is known
webhooks/           events to receivers that others have chosen, in order
jobs/               outbox, event log, background jobs and their worker
reports/            figures of days, digests, orders that wait too long
audit_law.py        rules that `run.py verify` compares a database with
background.py       background tasks: positions, feed acknowledgements, trimming
STORIES.md          one command from frame to fan-out; the state diagram
"""
