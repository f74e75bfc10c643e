"""Scores the planner on real delivery days in virtual time, beside the floor and two yardsticks.

Map:
__main__.py      the command line, and a run
virtual_day.py   a day in virtual time: who is where, what is open, what happens to an offer
dispatchers.py   who decides: the planner, and the yardsticks
assignment.py    minimum-cost assignment of rows to columns
solution.py      the three files of the published evaluator
through_server.py  a day through the whole server, as a line of the score
measures.py      what a day was worth, and the floor
report.py        the table, and whether the planner is ahead
mall.py          pooling in a mall at several rates, beside hindsight
mall_hours.py    hours of a mall in virtual time
step_times.py    times of one step over a random town
"""
