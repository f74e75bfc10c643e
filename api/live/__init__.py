"""Live picture of a zone for operators, over a WebSocket: `mallops.v1`.

Map:
PROTOCOL.md  the contract: opening, frames, ticks
opening.py   the ticket, and the opening of a socket
wishes.py    frames of clients
ticks.py     which tick goes out, which waits, and when the whole is needed
viewing.py   one socket from its opening to its end
"""
