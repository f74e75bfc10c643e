"""Several instances as one: who serves which shard, and how a message finds its way there.

Words of this room, one per idea:
instance (a process slot with a stable name) · incarnation (one life of it) · member · view (who is there) ·
lease (liveness) · tenure (how long leases are believed) · take, hand over, lose (a shard) · edge (the instance
that got the request) · attempt (one sending of an ask) · hop (of a tell) · moved (ask somebody else)

Map:
leases.py      LeaseStore port, members, ticks, and every number of the leases
placement.py   desired(): which instance should serve which shard
roster.py      who takes part
tenure.py      how long leases are believed
directory.py   where each shard is served, as far as we know
network.py     Network and Line ports
tcp.py         lines over TCP: framing and handshake
proof.py       what two instances prove to each other
tls.py         certificates for lines between machines
codec.py       messages as JSON values, and back
peers.py       lines to all members; calls, and frames for far sessions
forwarding.py  messages on their way to another instance
keeper.py      compares what should be served here with what is
suspicion.py   peers that are probably dead
health.py      whether we reach the journal
handover.py    gives shards to others, and takes them
leaving.py     how an instance leaves
cluster.py     all of it, put together
"""
