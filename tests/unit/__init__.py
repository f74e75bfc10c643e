"""One module or a few, in memory, without I/O.

`unit/api/test_cursors.py` tests `cursors.py` of `api/`, wherever it is in there. The maps name the other tests only.

Map:
actors/              the actor runtime and its cluster
api/                 HTTP, the feed, accounts, limits
config/              settings, logs, outages
dispatch/            actors of orders, drivers and zones, and the domain
storage/             what of the stores needs no store
loadtests/           the load tests' own parts
test_openapi.py      the OpenAPI document of version 2
test_openapi_v1.py   the OpenAPI document of version 1
test_asyncapi.py     the AsyncAPI document of the feed
test_model.py        the runner of the TLA+ model
"""
