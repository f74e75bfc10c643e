"""The street: HTTP and WebSocket. The only room that imports aiohttp.

Map:
app.py         make_app and make_ops_app: routes, middleware, shutdown
doors.py       the listening sockets, and the servers behind them
edge.py        what every request passes: trace, deadline, caller, limit, problem, log line, metric
conditional.py entity tags, If-Match, If-None-Match
cors.py        pages of other origins
cursors.py     where the next page of a list begins, sealed
call.py        a request as a handler sees it
versions.py    the versions of the API: their dates, how a request names one
negotiation.py paths without a version, the list of versions
access.py      one table: who may call what, and which limit counts
limiting.py    the gate: how much a user, an address, and all together may ask for
attempts.py    what a network may try whose people have proved nothing yet
client_address.py whose address a request counts for, behind proxies, too
faults.py      what is wrong with a field, in our words
remedies.py    what to do after each problem
problems.py    one table: everything that can go wrong, and what the caller sees
bodies.py      strict JSON
catalogue.py   products and stores by way of the cache
fields.py      strict field types
literals.py    numbers and times as they are written
readers.py     puts the one reader of them before every field
founding.py    what a database needs before the first request
front.py       the first page of the public and of the ops port
commands.py    migrate, mint, verify
checking.py    what stands in the way of a start
minting.py     users and tokens in bulk
probing.py     what readiness looks at
cashier.py     payments of an instance, and the round that finishes them
telling.py     what rooms without a logger have to say: levels, ids, silence while a store is away
watch.py       revocations, keys and the event loop, watched
stream_tickets.py tickets for the live stream of one order
stepping.py    coroutines without tasks
transport/     connections: deadlines, limits, what is no request
present.py     the domain as JSON
shown.py       orders as they were shown last
passwords.py   Argon2id off the loop
resetting.py   a new password from the command line
tokens.py      Ed25519 access tokens, revocation
families.py    refresh tokens, one family per session
throttle.py    guessing of passwords, slowed down per account
rotation.py    a new signing key
docs/          OpenAPI and the page that shows it
rest/          one file per resource
v1/            version 1, as a translation of version 2 (MIGRATION.md tells clients)
feed/          the drivers' WebSocket: PROTOCOL.md, frames, session, hub
gateway/       the payment provider: over HTTP, and a sandbox
ops/           metrics, and the status of the whole cluster
"""
