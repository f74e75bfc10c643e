"""The drivers' feed over WebSocket, `malldrive.v1`. PROTOCOL.md is the contract.

Map:
PROTOCOL.md   the contract with driver apps
frames.py     client frames: models, decoding
handshake.py  upgrade, origin, header or ticket
origins.py    which pages may open a feed
strangers.py  sockets that have not said who they are
metering.py   frames are counted and weighed before they are read
socket.py     a WebSocket whose texts are heard where they are read
session.py    one socket: frames in, answers out
decisions.py  what a frame wants of an order
asked.py      commands that wait for their answer
outbox.py     two lanes per socket, and who drains them
rebinding.py  sessions whose actor has moved are bound again
codes.py      close codes
wheel.py      when each socket is looked at next
hub.py        all sockets and streams of this instance; the emitter
"""
