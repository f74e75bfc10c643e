"""Tests of several instances as one.

Map:
test_rivals.py  two incarnations under one name: the one that began earlier ends
"""
