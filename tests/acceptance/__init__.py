"""The whole program, asked as its users ask it: over HTTP and WebSocket, against real processes.

Folders share a server, which their conftest.py starts. Each test beside them starts what it needs.

Map:
shared_server/   one server for many files: malformed input, transport, lists, versions of the API
two_instances/   two instances on one database: what one does and the other must know
kubelet/         the manifests for Kubernetes, played with real processes: probes, a rolling update
in_process/      an instance in the test's process: faults of our own, memory

running_mall.py      a server with zones, customers, and drivers with their phones
raw_http.py          requests byte for byte, and what each refusal must look like
sample_mall.py       ids, people and an order of the sample mall
job_crew.py          workers of background jobs, to be killed, frozen and started again
write_operations.py  every operation that writes, with a valid body
token_forge.py       access tokens, valid and forged

Users:
test_stories.py    orders from the customer to the door, with one instance and with three
test_shares.py     orders that are followed over share links, and what is not told over them
test_catalogue.py  what shops show and sell, on two instances
test_mails.py      mails and SMS of a server with its worker
test_webhooks.py   events to receivers, while workers are killed
test_background_reports.py  reports by a real worker
test_decision_replay.py  decisions of the planner, made again
test_payments.py   paying by card, with a gateway that declines, hangs and dies

Documents:
test_collector_outage.py  a collector of traces that is not there, or hangs: only spans are lost
test_contract.py       Schemathesis holds the server to its OpenAPI documents
contract_checks.py     our checks beside those of Schemathesis
contract_report.py     its failures, the operation and the request first
test_contract_report.py  the report on recorded output
schemathesis.toml      its settings
test_generators.py     clients generated from the documents
test_metrics_document.py  config/deploy/metrics.md and what is exported

Limits and attacks:
test_limits.py               rate limits on a real server
test_limits_outage.py        the same while Redis hangs or is dead
test_admission.py            admission comes before the body
test_one_address.py          many people behind one address, a crowd of addresses
test_transport_deadlines.py  slow connections end in time
test_strangers_log.py        what strangers cause in the log

Operating:
test_process.py       start, restart, stop, refusals at start
test_start.py         what a start says
test_check.py         `run.py check`
test_verify_at_work.py  `run.py verify` beside a server with background work
test_image.py         the container image
test_supervisor.py    several instances behind one port
test_machine_ops.py   one ops address for a machine
test_status.py        the cluster's status
test_jobs_seen.py     background jobs at the ops ports, in the command line, and after a restart
test_log_shipping.py  every line reaches its store by the real shipper
test_restore.py       a backup in an empty Postgres gives back what it should, and nothing twice
test_log_story.py     what an operator reads in the log
test_job_kills.py     workers that are killed, cut off, frozen and stopped
test_leaving.py       an instance leaves in time
test_outage.py        a Postgres that hangs
test_health_alerts.py  each component goes down by a real fault, and its alert fires
test_sight.py         an instance that cannot see revocations
test_shared_redis.py  two clusters on one Redis
test_memory.py        100,000 resident actors

Short runs of the load tests:
test_chaos.py, test_crash.py, test_demo.py, test_drills.py, test_fleet.py, test_keyed.py, test_locust.py, test_race.py
test_replay.py, test_swarm.py
"""
