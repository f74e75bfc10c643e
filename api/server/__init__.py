"""Process level: HTTP servers, several instances on one machine, and background checks.

Map:
http_server.py  HTTP servers of the public port and of the ops port
host_endpoint.py  one ops address for all instances of a machine
supervisor.py   several instances behind one port, restarted when they die
watchdogs.py    garbage collector, event loop lag, revocations and keys
"""
