"""Process level: listening sockets, several instances on one machine, watchdogs.

Map:
http_server.py  listening sockets, and the servers behind them
host_endpoint.py  one ops address for all instances of a machine
supervisor.py   several instances behind one port, restarted when they die
watchdogs.py    garbage collector, event loop lag, revocations and keys
"""
