"""Notices on a real Postgres, with senders in memory or real ones.

Map:
conftest.py          the world of a test
notice_world.py      people, orders and their events; jobs run one after the other
test_notices.py      which notices an event adds, and what becomes of them
test_mail_outage.py  a real mail server that goes away and comes back
test_resets.py       password resets by mail
test_contacts.py     profiles, preferences, stores' contacts, the sandbox
"""
