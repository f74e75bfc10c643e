"""REST, version 2: one file per resource, each with its request models and its routes.

Map:
accounts.py   register, login, refresh, logout, password, me, keys
users.py      users, by admins
resets.py     passwords that nobody knows any more
zones.py      zones
stores.py     stores
products.py   products
placing.py    placing an order
orders.py     orders and what may be done to them
payments.py   payments of card orders
tracking.py   history and the live stream of an order
drivers.py    drivers and their own status
health.py     probes
paging.py     pages of lists
patching.py   merge patches
"""
