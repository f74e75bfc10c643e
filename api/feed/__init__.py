"""Drivers' feed over WebSocket, protocol `malldrive.v1`. PROTOCOL.md is the contract.

Map:
PROTOCOL.md           the contract with driver apps
frames.py             frames of clients: models, decoding
handshake.py          upgrade, origin, bearer header or ticket
origins.py            origins whose pages may open a feed
frame_limits.py       rate and size limits of frames, applied before they are parsed
socket_class.py       choice between our WebSocket and stock aiohttp's
feed_socket.py        interface of a WebSocket to its session
websocket.py          WebSocket whose text frames go to a callback, not through aiohttp's queue
stock_socket.py       WebSocket of stock aiohttp (MALL_FAST_PATH=off)
session.py            I/O of one socket: frames in, frames out
state.py              rules of a session, without I/O: positions, limits, heartbeat, token end, closing
commands.py           domain command of a frame, and results of offers
pending_command.py    commands without a reply yet
send_queue.py         frames that wait for the socket: reliable, and latest per topic
resubscription.py     sessions whose driver's actor has a new owner
"""
