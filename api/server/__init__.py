"""Process level: HTTP servers, several instances on one machine, and background checks.

Map:
serve_command.py  `run.py serve`: one instance, or a supervisor
instance.py     an instance: opens its parts in order, closes them in reverse
start_messages.py  what a start says to the operator
http_server.py  HTTP servers of the public port and of the ops port
host_endpoint.py  one ops address for all instances of a machine
process_slot.py processes that are started and kept running
supervisor.py   several instances behind one port, and workers, restarted when they die
worker_slot.py  the worker of a single instance
watchdogs.py    garbage collector, event loop lag, revocations and keys
"""
