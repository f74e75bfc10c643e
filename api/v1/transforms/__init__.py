"""Transforms between the versions, one module per difference.

`forward` rewrites requests, `backward` answers, `field` the paths that a refusal names.

Map:
tree.py         walks through JSON
identity.py     numbers instead of prefixed ids
money.py        decimal amounts beside a currency instead of minor units with one
places.py       `lat` and `lng`, as `location` in a resource
pickups.py      the first store of an order instead of all pick-ups
times.py        whole seconds
statuses.py     names of an order's status
paging.py       the shape of lists that have one page
keys.py         optional Idempotency-Key
conditions.py   removal of ETag, If-Match and versions of resources
limits.py       X-RateLimit headers
later.py        fields that only version 2 has
problems.py     flat errors
"""
