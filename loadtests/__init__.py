"""Tools that use a running server as its users do: over its public API and feeds alone.

Map:
client.py   a small client: REST, and a phone that resumes
server.py   a server of its own for a test or a tool: real processes in a folder
replay.py   replays a real delivery day
race.py     many drivers for one order, one driver for many
crash.py    kills the server, restarts Postgres, and checks what was promised
"""
