"""A good client's waiting time beside a thousand slow sockets.

Map:
__main__.py   the command line
slow_clients.py   the slow sockets, in a process of their own
watch.py      a good client, the server's connections and memory, the verdict
"""
