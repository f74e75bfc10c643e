"""Cluster: which instance serves which shard, and how a message reaches the owner.

Words of this room; GLOSSARY.md explains all of them: instance (a process slot with a stable name) · incarnation (one
life of it) · member · lease (liveness of an owner; safety is the epoch) · take, hand over, lose a shard · edge (the
instance that got the request) · attempt (one sending of an ask) · hop (of a tell).

Map:
leases.py            port of the lease store; members, ticks, all durations of leases
placement.py         desired owner of each shard (pure)
membership.py        members of the last ticks
lease_state.py       how long this instance may believe in its leases
routing_table.py     owner of each shard, as far as this instance knows
transport.py         ports Transport and Link
tcp_transport.py     links over TCP: framing and handshake
proof.py             mutual proof of the shared secret in the handshake
tls.py               certificates for links between machines
codec.py             messages as JSON values, and back
peer_links.py        links to all members; calls, and frames for sessions elsewhere
forwarding.py        asks and tells to actors on other instances
reconciler.py        compares desired with actual ownership, and takes the next step
failure_detector.py  peers that are probably dead
journal_health.py    whether this instance reaches Postgres
handover.py          gives shards to other instances
drain.py             leaves the cluster: shards first, name last
node.py              one instance's part in the cluster, assembled
"""
