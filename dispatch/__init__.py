"""The dispatch office: what orders, drivers and zones do.

Map:
domain/          the pure heart: ids, money, places, orders, drivers, plans; standard library only
messages.py      what actors tell each other and answer
wire.py          what may travel between instances
tail.py          the end of a driver's log in memory
feed.py          frames of a driver's feed
order_actor.py   orders as actors
driver_state.py  what a driver's actor has in memory
driver_signs.py  signs of life in its turns
driver_actor.py  drivers as actors: availability, position, the feed
zone_state.py    what a zone's actor has in memory
zone_ends.py     what a zone ends: offers in vain, orders that nobody takes
zone_actor.py    zones as actors: who is open, who is free, who is offered what
placing.py       what a customer orders, and what became of it
service.py       every verb of the system, one short method each
payment_notes.py  what an order's history says of a payment
payments.py      hold, capture, release, refund: steps that are repeated until their outcome is known
chores.py        background rounds: positions, feed positions, trimming
STORIES.md       one command told from frame to fan-out; the state diagram
"""
