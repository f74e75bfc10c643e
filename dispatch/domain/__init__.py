"""Decisions and values of dispatch. Pure: same input, same output, standard library only.

Map:
ids.py                 prefixed ids: `ord_17`
money.py               minor units and currency
geo.py                 distances on the sphere
order.py               the order and its transition table
commands.py            commands of an order, and the decision about one
order_decisions.py     the decision about each command, or its refusal
carrier_decisions.py   decisions about commands of the carrying driver
operator_decisions.py  decisions about commands of operators
payment_decisions.py   decisions about payments
search_decisions.py    decisions about the search for a driver, apart from offers
order_visibility.py    what a driver sees of an order
order_sharing.py       what whoever has an order's share link sees of it
liveness.py            signs of life of a driver
refresh_tokens.py      token families of sessions
position_filter.py     positions that are plausible
driver.py              the driver and its availability
offer_ladder.py        who is asked for an order, one rung after the other
refusal_shares.py      learned chances that a driver declines an offer
matching.py            which driver is offered which order
driver_index.py        grid of free drivers, for nearest-neighbour search
planning/              trips: which driver is offered which orders, when and why
refusals.py            codes of refusals
"""
