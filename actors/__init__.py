"""Actor runtime: in-memory actors with one writer each, and commits that are fenced. It knows nothing of the domain.

Words of this room; GLOSSARY.md explains all of them: actor · cell (an active actor in memory) · mailbox · turn (one
message decided) · effect · commit (one write to the journal) · output gate (no effect leaves a turn before its
commit) · commit lane (one connection that commits batches) · shard (unit of ownership) · epoch (fencing number of a
shard) · claim (raise the epoch) · settle (find out what an unanswered commit did).

Map:
tracing.py          the string in which a trace travels; port for spans
values.py           dataclasses that are immutable by type check
clock.py            ports for time and randomness
errors.py           what a caller gets instead of a reply
messages.py         ActorId, Envelope, Command, Tell, Emit, Query
behaviour.py        Behaviour: the interface of an actor kind; Done and Commit, the results of a turn
dedup.py            command ids, and the ring of remembered replies
shards.py           shard function; Ownership: the epoch and the cells of a shard
cell.py             the record of an active actor
ports.py            Journal, PeerTransport, Emitter: what other packages implement
group_commit.py     batches of commits, bisection of refused ones, settling of unanswered ones
blocked_commits.py  commits that wait for a row lock of another program
activation.py       reads rows of actors that are addressed for the first time
passivation.py      removes idle actors from memory
timers.py           durable timers
batcher.py          calls that pile up become one call
deadlines.py        deadlines of asks
counters.py         plain counters that metrics read
cell_table.py       owned shards and their cells
ready_queue.py      cells that have a message
router.py           messages into mailboxes, to other instances, or back
effects.py          tells, frames, reads and timers after the commit
scheduler.py        turns, and what the journal's answer means for them
read_fence.py       replies from memory wait until Postgres confirms the epoch
cancellation.py     end of background loops
runtime.py          Runtime: ask, tell, take and give shards; puts the parts together
model/              TLA+ model of the ownership protocol: make model
cluster/            several instances: leases, links, hand-over
PROTOCOL.md         how ownership works, why it is safe, what it does not promise
"""
