"""A good client's waiting time while a thousand sockets dawdle.

Map:
__main__.py   the command line
siege.py      the sockets that dawdle, in a process of their own
watch.py      a good client, the server's connections and memory, and the verdict
"""
