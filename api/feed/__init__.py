"""The drivers' feed over WebSocket, `malldrive.v1`. PROTOCOL.md is the contract.

Map:
PROTOCOL.md   the contract with driver apps
frames.py     client frames: models, decoding
handshake.py  upgrade, origin, header or ticket
outbox.py     two lanes per socket, and who drains them
session.py    one socket: frames in, answers out
decisions.py  from a frame to the dispatch office
rebinding.py  sessions whose actor has moved are bound again
codes.py      close codes
hub.py        all sockets and streams of this instance; the emitter
"""
