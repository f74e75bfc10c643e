"""What version 2 has changed, a module each: `forward` rewrites requests, `backward` answers, `field` the
places that a refusal names.

Map:
tree.py         walks through JSON
identity.py     numbers instead of prefixed ids
money.py        decimal amounts beside a currency instead of minor units with one
places.py       `lat` and `lng`, as `location` in a resource
pickups.py      the first of the stores that an order is fetched from
times.py        whole seconds
statuses.py     names of an order's status
paging.py       the shape of lists that have one page
keys.py         an Idempotency-Key that may be left out
conditions.py   no ETag, If-Match and versions of resources
limits.py       X-RateLimit headers
problems.py     flat errors
"""
