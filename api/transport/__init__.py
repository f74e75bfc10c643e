"""Below HTTP: what a connection may do before, between and around requests.

Map:
aiohttp_internals.py  the private parts of aiohttp that are used, checked when they are imported
connection.py         server protocol: deadlines, refusal of malformed requests
listening_sockets.py  sockets that are bound here or adopted from a supervisor
listener.py           connections of one port, swept once a second
runners.py            which of two servers runs an application
stock.py              a server of stock aiohttp (MALL_FAST_PATH=off)
connection_limits.py  connections per address
request_bodies.py     bodies that weigh too much, or that no handler reads
malformed.py          reason why a parsed request is refused
parser_errors.py      reason why a request could not be parsed
refusals.py           answers to malformed requests
fast_path.py          requests that are answered in the parser's callback
whole_answer.py       their answers as bytes
taskless.py           coroutines without tasks
socket_queue.py       unacknowledged bytes in the kernel
errors.py             errors of a body that a handler waits for
"""
