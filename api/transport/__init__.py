"""Transport below HTTP: connections with deadlines and limits, malformed requests, and the fast path.

Map:
aiohttp_internals.py  the private parts of aiohttp that are used, checked when they are imported
connection.py         server protocol: deadlines, refusal of malformed requests
listening_sockets.py  sockets that are bound here or adopted from a supervisor
listener.py           connections of one port, swept once a second
runners.py            choice between our server and stock aiohttp
stock.py              a server of stock aiohttp (MALL_FAST_PATH=off)
connection_limits.py  connections per address
request_bodies.py     bodies that are too large, or that no handler reads
malformed.py          reason why a parsed request is refused
parser_errors.py      reason why a request could not be parsed
refusals.py           answers to malformed requests
fast_path.py          requests that are answered in the parser's callback
whole_answer.py       answer of a fast-path request as bytes
taskless.py           coroutines that run without a task
socket_queue.py       unacknowledged bytes in the kernel
errors.py             errors of a body that a handler reads
"""
