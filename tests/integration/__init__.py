"""One part of ours on a real Postgres, Valkey, embedded server or TCP connection.

Map:
test_database.py        the pool of connections, when they are lost
test_migrations.py      migrations, forward and on data
test_present_text.py    a database made from the present text against a migrated one
monitoring/             rules of Prometheus, run by promtool; dashboards, asked of a real Prometheus
services/               services over tables, without HTTP
reports/                orders without a driver, figures of days, digests
test_slow_queries.py    whose slow queries and waits are, and plans without values
test_stock_limits.py    stocks that cross their limit
test_bounded_plans.py   batches read what they touch, whatever the statistics say
test_fence.py           the fence against a stale owner, on real row locks
test_locked_row.py      a row that a person holds in psql
test_lists.py           query plans of lists
test_orderable.py       what is shown as orderable
test_payments.py        steps of a payment on the real tables
test_mail.py            mail by SMTP to a real server
test_sms.py             SMS to a real HTTP server
notices/                notices on the real tables, with real receivers
test_http_sender.py     the client of webhooks: what receivers may do to it, addresses inside
test_job_control.py     what people do to jobs, and who it was
test_jobs_command.py    `run.py jobs`, on a database alone
test_gateway.py         the client of a payment gateway, and a gateway that lies
test_verify.py          the auditor behind `run.py verify`
test_verify_deliveries.py  its check of webhooks: what each endpoint should have got
test_verify_kinds.py    the auditor on databases corrupted by seed
test_redis.py           one-use tickets
test_cache.py           the cache and its invalidation
test_limits.py          rate limits over several instances
test_leases.py          the thread that renews leases
test_foreign_keys.py    keys in our Redis namespace that somebody else made
test_lines.py           TCP connections between instances: handshake, TLS, delivery
test_embedded.py        the embedded servers: start, stop, crash, data folders
test_embedded_guard.py  who may reach the embedded Postgres
"""
