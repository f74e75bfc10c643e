"""The street: HTTP and WebSocket. The only room that imports aiohttp.

Map:
app.py         make_app and make_ops_app: routes, middleware, shutdown
doors.py       the listening sockets, and the servers behind them
edge.py        what every request passes: trace, deadline, caller, limit, problem, log line, metric
call.py        a request as a handler sees it
access.py      one table: who may call what, and which limit counts
problems.py    one table: everything that can go wrong, and what the caller sees
bodies.py      strict JSON
catalogue.py   products and stores by way of the cache
fields.py      strict field types
founding.py    what a database needs before the first request
minting.py     users and tokens in bulk
watch.py       revocations and the event loop, watched
present.py     the domain as JSON
passwords.py   Argon2id off the loop
tokens.py      Ed25519 access tokens, refresh tokens, revocation
docs/          OpenAPI and the page that shows it
rest/          one file per resource
feed/          the drivers' WebSocket: PROTOCOL.md, frames, session, hub
ops/           metrics, and the status of the whole cluster
"""
