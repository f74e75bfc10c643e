"""Reports: figures of days, digests for drivers, orders that wait too long.

The figures are computed in Postgres (storage/postgres/functions/reports.sql), by jobs of a worker.

README.md says what is learned from deliveries, and from what.

Map:
README.md  what is learned from deliveries
daily.py   figures of days, as they are read
pooling.py what the trips of a day saved, beside what no trips could exceed
tasks.py   tasks and schedules that compute them
"""
