"""The street: HTTP and WebSocket. The only room that imports aiohttp.

Map:
app.py         make_app and make_ops_app: routes, middleware, shutdown
doors.py       the listening sockets, and the servers behind them
edge.py        what every request passes: trace, deadline, caller, limit, problem, log line, metric
call.py        a request as a handler sees it
versions.py    the versions of the API: their dates, how a request names one
negotiation.py paths without a version, the list of versions
access.py      one table: who may call what, and which limit counts
problems.py    one table: everything that can go wrong, and what the caller sees
bodies.py      strict JSON
fields.py      strict field types
founding.py    what a database needs before the first request
minting.py     users and tokens in bulk
watch.py       revocations and the event loop, watched
present.py     the domain as JSON
passwords.py   Argon2id off the loop
tokens.py      Ed25519 access tokens, refresh tokens, revocation
docs/          OpenAPI and the page that shows it
rest/          one file per resource
v1/            version 1, as a translation of version 2 (MIGRATION.md tells clients)
feed/          the drivers' WebSocket: PROTOCOL.md, frames, session, hub
ops/           metrics, and the status of the whole cluster
"""
