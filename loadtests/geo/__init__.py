"""`make bench-geo`: the two bodies of the search around a place, beside each other on one Postgres.

Map:
__main__.py   stores, queries, and the table
"""
