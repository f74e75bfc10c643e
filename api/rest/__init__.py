"""REST, version 2: one module per resource, with its request models and handlers.

Map:
accounts.py         register, login, refresh, logout, password, me, keys
login_throttle.py   delays after wrong passwords, per account
password_resets.py  passwords set by an admin or with a reset link
users.py            users, for admins
zones.py            zones
stores.py           stores
products.py         products
order_creation.py   placing an order
orders.py           orders: reading one, lists
order_commands.py   commands on an order: accept, pick up, deliver, cancel, assign …
payments.py         payments of card orders
tracking.py         history and event stream of an order
drivers.py          drivers and their own status
serializers.py      domain objects as JSON of version 2
answers.py          types of answers: what serializers return and documents show
"""
