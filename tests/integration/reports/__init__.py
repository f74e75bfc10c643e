"""Reports on a real Postgres: orders without a driver, figures of days, digests.

Map:
conftest.py         the world of these tests, made anew for each
world.py            zones in several time zones, orders as rows, the relay, the tasks
expected.py         the same figures in plain Python
test_figures.py     figures against plain Python, around midnight and changes of the clock
test_changes.py     what changes later; what is marked and what is not
test_learned_times.py  times of preparation and speeds from pick-ups and deliveries
test_delivery_times.py  what deliveries took is learned for each zone
test_pooling_figures.py  what the trips of a day saved, beside what was possible
test_digests.py     digests of drivers: when, once, with which job
test_unassigned.py  orders that wait too long for a driver
"""
