"""Below HTTP: what a connection may do before, between and around requests.

Map:
connection.py         server protocol: deadlines, refusal of malformed requests
listener.py           connections of one port, swept once a second
connection_limits.py  connections per address
request_bodies.py     bodies that weigh too much, or that no handler reads
malformed.py          reason why a request cannot be read
refusals.py           answers to malformed requests
fast_path.py          requests that are answered in the parser's callback
taskless.py           coroutines without tasks
socket_queue.py       unacknowledged bytes in the kernel
errors.py             errors of a body that a handler waits for
"""
