"""REST handlers of version 2: one module per resource, with its request models.

Map:
accounts.py         register, login, refresh, logout, password, me, keys
login_throttle.py   delays after wrong passwords, per account
password_resets.py  passwords set by an admin or with a reset link
users.py            users, for admins
profiles.py         how users and stores are reached
notice_preferences.py  which notices a user wants
zones.py            zones
stores.py           stores
products.py         products
order_creation.py   creation of an order
orders.py           one order, lists of orders
order_commands.py   commands on an order: accept, pick up, deliver, cancel, assign …
payments.py         payments of card orders
tracking.py         history and event stream of an order
decisions.py        why an order was offered to whom; decisions made again
shares.py           share links of an order, and the order for whoever has one
shared_order.py     an order as whoever has its share link sees it
webhooks.py         endpoints of webhooks: create, change, test, replay, enable, attempts
webhook_answers.py  types of answers about webhooks and the log, with their serializers
events.py           the log of events
drivers.py          drivers and their own status
jobs.py             background jobs, for operators: lists, retry, discard
job_actions.py      retry and discard of many jobs; the record of who did what
job_tasks.py        tasks and schedules of background work: pause, run now
job_answers.py      types of the answers about jobs, and rows as these answers
reports.py          figures of days
serializers.py      serializers of domain objects to the JSON of version 2
answers.py          types of answers: serializers return them, documents show them
"""
