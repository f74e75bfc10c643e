"""Notices by mail and SMS: what customers, stores, drivers and operators are told.

An event's job decides who is told (wanted.py) and adds a notice for each person and channel, with a job that sends it
(delivery.py). Whether it is still news, wanted and not in quiet hours is decided when that job runs (decisions.py).

Map:
kinds.py        kinds of notices, their channels and audiences
recipients.py   users and stores as recipients
decisions.py    which channels, now, later or never; pure
values.py       what templates are filled with; pure
ports.py        senders of mail and SMS, templates
wanted.py       notices that an event calls for
delivery.py     one notice: decide, render, send, note
resets.py       password resets by mail
sandbox.py      messages that are kept instead of sent
preferences.py  how a user is reached, and which notices are wanted
tasks.py        tasks for the worker
"""
