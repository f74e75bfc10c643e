"""Background jobs: work that is done at least once, apart from the requests that cause it.

A commit writes a narrow row into the outbox. The relay turns it into events of the log and into jobs, in one commit.
Workers take jobs by lease, and record how each attempt ended; an outcome of an attempt that is not the newest counts
for nothing. README.md says why the queue is our own.

Map:
README.md     the choice of the queue, with figures; how to add a task
tasks.py      a job, a task, and how a task says that its job did not succeed
policy.py     the outcome of an attempt; pauses between retries
ports.py      what workers and the relay need of storage
stored.py     these ports over named queries
events.py     what a row of the outbox becomes: events, and the jobs that follow
announcer.py  tells workers that there is something to relay
relay.py      the relay: outbox to event log and jobs
control.py    what people see of jobs, and do to them
worker.py     the worker: claims, extends, runs, finishes
steps.py      which job's code runs, at each moment
cleanup.py    deletes what has expired
schedules.py  jobs that are made at times
"""
