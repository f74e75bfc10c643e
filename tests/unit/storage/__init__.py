"""Tests of what of the stores needs no store.

Map:
test_failures.py         errors of a Redis connection that count as an outage
test_postgres_errors.py  every error of the driver, and what a caller is told
"""
