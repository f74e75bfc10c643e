"""Subscriptions: the sockets and streams of this instance, and how frames reach them.

Map:
hub.py                subscribers by address, topics, heartbeats; the runtime's Emitter
anonymous_sockets.py  sockets without a valid `hello` yet
live_zones.py         zones that operators look at, and their ticks
subscriber.py         interface of a socket to the hub
timer_wheel.py        due time of the next heartbeat of each subscriber
close_codes.py        close codes of a socket
"""
