"""The actor runtime: one in-memory record per order, driver or zone, and nothing it needs to know about them.

Words of this room, one per idea:
actor (a unit of state: kind and id) · cell (its record in memory while active) · mailbox · turn (one
message decided) · effect · commit (one write to the journal) · outcome · gate (nothing leaves a turn
before its commit) · lane (one connection that commits batches) · shard (the unit of ownership) · epoch
(the fencing number of a shard) · claim (raise the epoch) · settle (find out what an unanswered commit did).

Map:
frozen.py      what a value is (and why no dataclass is frozen at run time)
clock.py       Clock and Entropy ports; the only readers of time and chance
errors.py      everything the runtime can answer instead of a reply
messages.py    ActorId, Envelope, Command, Tell, Emit, Query: what travels
steps.py       Behaviour and what a turn may return: Done or Commit
dedup.py       command ids and the ring that remembers their answers
shards.py      shard function, Ownership, Shards
cell.py        the record of an active actor
ports.py       Journal, PeerTransport, Emitter: what other rooms plug in
lane.py        group commit, bisecting, settling
aside.py       commits in whose way a lock of somebody else stands
loader.py      activation in sets
timers.py      durable timers: due rows, a heap, firing
sweep.py       passivation
batch.py       many callers, one call
patience.py    who waits for an answer, and until when
gauges.py      what the runtime counts
scheduler.py   whose turn it is, and what follows from it
ending.py      the end of tasks that repeat for ever
doubts.py      answers of an owner whose lease may be over
runtime.py     Runtime: deliver, ask, tell, life and ownership
model/         the protocol of ownership as a TLA+ model: make model
cluster/       several instances as one: leases, peers, hand-over
PROTOCOL.md    how ownership works, why it is safe, and what it does not promise
"""
