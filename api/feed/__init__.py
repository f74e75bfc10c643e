"""The drivers' feed over WebSocket, `malldrive.v1`. PROTOCOL.md is the contract.

Map:
PROTOCOL.md           the contract with driver apps
frames.py             frames of clients: models, decoding
handshake.py          upgrade, origin, bearer header or ticket
origins.py            origins that may open a feed
frame_limits.py       frames are counted and weighed before they are parsed
socket_class.py       which WebSocket a feed has
feed_socket.py        what a session needs of its WebSocket
websocket.py          text frames go to a callback, not through aiohttp's queue
stock_socket.py       the WebSocket of stock aiohttp instead (MALL_FAST_PATH=off)
session.py            one socket: frames in, frames out
state.py              rules of a session, without I/O: positions, limits, heartbeat, token end, closing
commands.py           the command behind a frame
pending_command.py    commands without a reply yet
send_queue.py         frames that wait for the socket: reliable, and latest per topic
resubscription.py     sessions whose driver's actor has a new owner
"""
