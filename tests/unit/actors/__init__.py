"""Tests of the actor runtime.

Map:
test_envelope.py  what may be said of a message that nobody answers
cluster/  tests of several instances as one
"""
