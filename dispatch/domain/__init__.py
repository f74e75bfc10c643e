"""The pure heart: same input, same output, nothing but the standard library.

Map:
ids.py      prefixed ids: `ord_17`
money.py    minor units and currency
geo.py      distances on the sphere
order.py    the order and its transition table
commands.py what may be wanted of an order, and what a decision is
decide.py   what a command does to an order: a decision or a refusal
operate.py  the operator's part of that: hand-over, and the end of an order for its driver
sight.py    what drivers see of an order
paying.py   what becomes of the money, as far as the order knows
search.py   the zone's part of that, apart from the offers
signs.py    signs of life: which driver can be asked
fixes.py    which positions are believed
driver.py   the driver and its availability
plan.py     who is offered what
fleet.py    where the free drivers are
refusals.py why a command was refused
"""
