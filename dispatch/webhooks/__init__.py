"""Webhooks: the log of events, sent to receivers in order, at least once.

Each endpoint has a cursor in the log. A sender claims endpoints, sends the events behind their cursors one at a time,
and settles how far it came. Imports point down this map, never up.

Map:
administration.py  endpoints as admins create, change and replay them; the log as it is read
sender.py          claims endpoints and keeps a delivery running for each
delivery.py        what one claim sends: ping, gap, events, replay
settling.py        what claims have done, written together
store.py           endpoints and the log by named queries
ports.py           the store of endpoints, and what sends a request
policy.py          what follows from an answer: pure
values.py          claims, messages, answers and settlements
"""
