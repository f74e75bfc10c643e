"""What the tools share.

Map:
tool.py               how a tool runs: options, event loop, report, exit code
server.py             a server in processes of its own, to be killed and restarted
worker_process.py     a worker of background jobs in a process of its own, the same
work_process.py       `run.py work` in a process of its own
webhook_receivers.py  receivers of webhooks in a process of their own
job_worker.py         the program of that process: the server's worker with tasks of the tools
stores.py             Postgres and Valkey of a tool's own
setup.py              what a run sets up: accounts and zones under names of its own
database_setup.py     the same past the API, for tens of thousands of orders and users
gateway.py            the sandbox payment gateway as a process
client.py             REST with keys and retries, and a driver's phone that resumes
protocol.py           what clients know of the public protocol
phone_connection.py   keeps a phone connected: reconnects, acknowledges, repeats what was not answered
app_driver.py         base of virtual drivers: their offers and orders, from the feed
phone_cli.py          a driver's phone for the terminal
keep_alive.py         an HTTP client that hides nothing: a cut request is a failure
wire.py               HTTP and WebSocket on bare asyncio protocols, for load generators
closed_loop.py        a fixed number of requests in flight over wires
feed_position.py      a position in a driver's feed, and whether what arrives continues it
fixtures.py           zones with a store and products, accounts with tokens
metrics.py            the server's /metrics as numbers
process_usage.py      processor time and memory of processes, lag of the generator's own loop
waiting.py            until something holds, until a moment, for many things
report.py             what was measured, the limits, the verdict
"""
