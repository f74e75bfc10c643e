"""Sockets and streams of this instance, and how frames reach them.

Map:
hub.py                subscribers by address, topics, heartbeats; the runtime's Emitter
anonymous_sockets.py  sockets without a valid `hello` yet
subscriber.py         what the hub needs of a socket
timer_wheel.py        next look at each subscriber
close_codes.py        close codes of a socket
"""
