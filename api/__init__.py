"""HTTP and WebSocket interface. The only package that imports aiohttp. Imports point down this map, never up.

Map:
server/             HTTP servers, supervisor of several instances, background checks
app.py              the public application and the operators' application
version_routing.py  paths without a version
v1/                 version 1 of the API, as a translation of version 2
pages/              pages for browsers: the console, the app of drivers
docs/               OpenAPI, AsyncAPI, and the page that shows them
routes.py           table of all operations of version 2
rest/               handlers of version 2, one module per resource
operator/           commands of an operator: first run, users in bulk, key rotation, preflight
work/               worker process: background jobs
ops/                health, metrics, status of the instance and of the cluster
live/               the operators' WebSocket: a zone as it is now
feed/               the drivers' WebSocket: PROTOCOL.md, frames, session
outbound/           mail, SMS and webhooks: senders, templates, guard of addresses
payments/           payment gateway over HTTP, sandbox, worker
http/               request context, pipeline, pagination, conditional requests
json_schema.py      building blocks of JSON Schemas
subscriptions/      sockets and streams of this instance; the hub
transport/          below HTTP: connections, deadlines, malformed requests, fast path
tracing/            which traces are recorded; their spans to a collector
ratelimit/          admission control: limits of users, addresses and the whole instance
auth/               permissions, access and refresh tokens, passwords
contract/           problems, strict JSON, field types, cursors, versions
THREAT_MODEL.md     attackers, and the defence against each
MIGRATION.md        guide from version 1 to version 2
"""
