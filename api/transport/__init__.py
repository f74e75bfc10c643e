"""Below HTTP: what a connection may do before, between and around requests.

Map:
connection.py   the server protocol: deadlines, and refusals of what is no request
bodies.py       bodies that weigh too much, or that nobody reads
judging.py      what is wrong with a request that cannot be read, or must not be
refusing.py     what is answered to what is no request
prompt.py       requests that are answered where they were read
listening.py    the connections of one port, watched once a second
kernel.py       what only the kernel knows of a connection
counting.py     how many connections each address has
errors.py       what a handler hears of a body that fails
"""
