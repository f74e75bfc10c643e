------------------------------ MODULE Ownership ------------------------------
(****************************************************************************)
(* Who may write a shard: leases in Redis say who should try, epochs in     *)
(* Postgres say who may. One shard, its orders, and instances that take it  *)
(* from each other.                                                         *)
(*                                                                          *)
(* A stall needs no action of its own: every step may be late by any time,  *)
(* because any other steps may come before it. For the same reason an       *)
(* answer is heard in the step that makes it: an instance that hears it     *)
(* late is one that stalls after it. What has to be said is that an         *)
(* instance stops waiting while its call is still under way (GiveUp...).    *)
(****************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Instances, Orders, None, Unread,
    EpochMax,       \* claims that are granted
    LossesMax,      \* times that Redis forgets the lease, or remembers another
    CrashesMax,     \* lives that end; the next has another incarnation
    SilencesMax,    \* calls to Postgres that nobody hears the answer of
    WritesMax       \* commits that are sent

(* The protocol, and what else it might have been. The first value is ours. *)
CONSTANTS
    Fence,          \* "lock", "both", "apart", "version", "none": see Check
    EpochIn,        \* "postgres", "redis"
    LoadFirst,      \* FALSE; TRUE: state is read, then the epoch is raised
    HandOffLoads,   \* FALSE; TRUE: the same, but only by one who was handed the shard
    AckEarly,       \* FALSE; TRUE: acknowledged when sent
    SettleClaim,    \* "conditional", "unconditional", "none"
    SettleReads,    \* "ring" of the commands that the row has seen, "writer": the last of them
    SettleKeeps     \* FALSE; TRUE: memory survives a claim of ours that nobody answered

VARIABLES
    redis,          \* lease: who holds it; counter: of epochs, only if EpochIn = "redis"
    db,             \* the shard's row, the orders' rows, and the calls under way to them
    inst,           \* what each instance has in memory
    used,           \* how much of the bounds above is spent
    seen            \* for the properties only; no step asks it
vars == <<redis, db, inst, used, seen>>

Symmetric == Permutations(Instances) \union Permutations(Orders)

(* An order's row is the sequence of the writes that it was built from, each by its mark (`writer` in the  *)
(* item, actors/group_commit.py _item). <<>> is free, the first write assigns it, later ones move it on. A write   *)
(* replaces the row by what its sender had in memory plus itself, so a write from old memory shows.        *)
Range(row) == {row[n] : n \in 1..Len(row)}
Written == UNION {Range(db.rows[o]) : o \in Orders}
Higher(a, b) == IF a > b THEN a ELSE b

Idle(life) == [pc |-> "idle", life |-> life, epoch |-> 0, reign |-> 0,
               memory |-> [o \in Orders |-> Unread], order |-> None, mark |-> 0]
Me(i) == <<i, inst[i].life>>

Init ==
    /\ redis = [lease |-> None, counter |-> 0]
    /\ db = [epoch |-> 0, reign |-> 0, owner |-> None, rows |-> [o \in Orders |-> <<>>],
             flushes |-> {}, claims |-> {}]
    /\ inst = [i \in Instances |-> Idle(0)]
    /\ used = [losses |-> 0, crashes |-> 0, silences |-> 0, writes |-> 0]
    /\ seen = [acked |-> {}, denied |-> {}, read |-> 0, late |-> FALSE, twice |-> FALSE, stolen |-> FALSE]

------------------------------------------------------------------------------
(* Redis: liveness only (storage/redis/lua).                                *)

(* The time ran out, somebody emptied it, or a replica took over that remembers an older holder. *)
Forget ==
    /\ used.losses < LossesMax
    /\ \E holder \in (Instances \union {None}) \ {redis.lease} : redis' = [lease |-> holder, counter |-> 0]
    /\ used' = [used EXCEPT !.losses = @ + 1]
    /\ UNCHANGED <<db, inst, seen>>

(* tick.lua writes a lease again that is gone: the owner paused, or Redis forgot. The fence knows better. *)
Renew(i) ==
    /\ redis.lease = None /\ inst[i].pc # "idle"
    /\ redis' = [redis EXCEPT !.lease = i]
    /\ UNCHANGED <<db, inst, used, seen>>

------------------------------------------------------------------------------
(* Taking a shard: lease, epoch, and only then state.                       *)

(* claim_shards() as it is sent. `expected` 0 is p_expected NULL. Calls of one incarnation that nobody waits for *)
(* any more are told apart by the silence that they are.                                                        *)
Claim(i, settle) ==
    [by |-> Me(i), settle |-> settle, silence |-> 0,
     expected |-> IF settle /\ SettleClaim = "conditional" THEN inst[i].epoch ELSE 0]
Awaited(i) == {c \in db.claims : c.by = Me(i) /\ c.silence = 0}

(* actors/cluster/reconciler.py: nobody holds the lease (acquire.lua), or it names us already. *)
Acquire(i) ==
    /\ inst[i].pc = "idle" /\ redis.lease \in {None, i}
    /\ redis' = [redis EXCEPT !.lease = i]
    /\ IF LoadFirst
       THEN inst' = [inst EXCEPT ![i].pc = "early"] /\ UNCHANGED db
       ELSE inst' = [inst EXCEPT ![i].pc = "claiming"] /\ db' = [db EXCEPT !.claims = @ \union {Claim(i, FALSE)}]
    /\ UNCHANGED <<used, seen>>

(* Wrong variants only: what is read here may be old by the time the epoch is raised. *)
LoadEarly(i) ==
    /\ inst[i].pc = "early"
    /\ inst' = [inst EXCEPT ![i].pc = "claiming", ![i].memory = db.rows]
    /\ db' = [db EXCEPT !.claims = @ \union {Claim(i, FALSE)}]
    /\ UNCHANGED <<redis, used, seen>>

(* A taker has no memory yet and fills it order by order (actors/activation.py). One that settles (actors/group_commit.py     *)
(* _renew) may keep its memory if nobody has claimed since its own epoch; if there was a claim between, even one  *)
(* of its own whose answer was lost, everything is read again.                                                    *)
Granted(i, c, epoch) ==
    [inst[i] EXCEPT
        !.pc = IF c.settle THEN "settling" ELSE "active",
        !.epoch = epoch,
        !.reign = db.reign + 1,
        !.memory = IF c.settle /\ db.epoch # inst[i].epoch /\ ~SettleKeeps
                   THEN [o \in Orders |-> Unread] ELSE @]

(* functions/claim_shards.sql: FOR UPDATE waits for every flush that holds the shard FOR SHARE. *)
ExecuteClaim(c) ==
    LET i == c.by[1]
        heard == c.silence = 0 /\ c.by = Me(i)
        granted == c.expected = 0 \/ db.epoch = c.expected \/ db.owner = c.by
        epoch == IF EpochIn = "redis" THEN redis.counter + 1 ELSE db.epoch + 1
        early == heard /\ ~c.settle /\ \A o \in Orders : inst[i].memory[o] # Unread
    IN  /\ \A f \in db.flushes : ~f.locks
        /\ IF granted
           THEN /\ db.reign < EpochMax
                /\ db' = [db EXCEPT !.epoch = epoch, !.reign = @ + 1, !.owner = c.by, !.claims = @ \ {c}]
                /\ redis' = IF EpochIn = "redis" THEN [redis EXCEPT !.counter = epoch] ELSE redis
                /\ inst' = IF heard THEN [inst EXCEPT ![i] = Granted(i, c, epoch)] ELSE inst
                /\ seen' = [seen EXCEPT !.read = IF early THEN db.reign + 1 ELSE @,
                                        !.stolen = @ \/ (c.settle /\ db.owner # c.by)]
           ELSE /\ db' = [db EXCEPT !.claims = @ \ {c}]
                /\ inst' = IF heard THEN [inst EXCEPT ![i] = Idle(@.life)] ELSE inst
                /\ UNCHANGED <<redis, seen>>
        /\ UNCHANGED used

(* runtime.take or _claim_again hear nothing and ask again. The first may be granted later all the same, *)
(* and take the shard from whoever has it by then.                                                        *)
GiveUpClaim(i) ==
    /\ used.silences < SilencesMax
    /\ \E c \in Awaited(i) : db' = [db EXCEPT !.claims = @ \union {[c EXCEPT !.silence = used.silences + 1]}]
    /\ used' = [used EXCEPT !.silences = @ + 1]
    /\ UNCHANGED <<redis, inst, seen>>

Load(i, o) ==
    /\ inst[i].pc = "active" /\ inst[i].memory[o] = Unread
    /\ inst' = [inst EXCEPT ![i].memory[o] = db.rows[o]]
    /\ seen' = [seen EXCEPT !.read = Higher(@, inst[i].reign)]
    /\ UNCHANGED <<redis, db, used>>

------------------------------------------------------------------------------
(* Deciding from memory, and writing.                                       *)

(* One flush at a time: a shard has one lane (actors/group_commit.py), and the cell parks its mailbox meanwhile. The lease *)
(* is not asked: with Redis away an owner serves on its epoch.                                                     *)
Send(i, o) ==
    LET mark == used.writes + 1
    IN  /\ inst[i].pc = "active" /\ inst[i].memory[o] # Unread /\ used.writes < WritesMax
        /\ inst' = [inst EXCEPT ![i].pc = "flushing", ![i].order = o, ![i].mark = mark]
        /\ db' = [db EXCEPT !.flushes = @ \union {[by |-> i, order |-> o, mark |-> mark,
               epoch |-> inst[i].epoch, reign |-> inst[i].reign, row |-> Append(inst[i].memory[o], mark),
               passed |-> FALSE, locks |-> FALSE]}]
        /\ used' = [used EXCEPT !.writes = mark]
        /\ seen' = IF AckEarly THEN [seen EXCEPT !.acked = @ \union {mark}] ELSE seen
        /\ UNCHANGED redis

Hears(f) == inst[f.by].pc = "flushing" /\ inst[f.by].mark = f.mark

(* functions/flush.sql, first half. "lock": FOR SHARE on the shard, then the epoch is compared, and the lock     *)
(* lasts until the commit. "apart": the same comparison without a lock. "version": the row is locked and must be *)
(* the one that the write was built on. "both": lock and version, as flush does it; the properties hold without  *)
(* the version, and the model shows that by leaving it out.                                                       *)
Check(f) ==
    LET stale == Fence \in {"lock", "apart", "both"} /\ db.epoch # f.epoch
        moved == Fence \in {"version", "both"} /\ Len(db.rows[f.order]) + 1 # Len(f.row)
        rowLocked == \E g \in db.flushes : g.passed /\ g.order = f.order
    IN  /\ ~f.passed
        /\ Fence \notin {"apart", "none"} => ~rowLocked
        /\ IF ~stale /\ ~moved
           THEN /\ db' = [db EXCEPT !.flushes = (@ \ {f}) \union
                             {[f EXCEPT !.passed = TRUE, !.locks = Fence \in {"lock", "both"}]}]
                /\ UNCHANGED <<inst, seen>>
           ELSE /\ db' = [db EXCEPT !.flushes = @ \ {f}]
                /\ inst' = CASE ~Hears(f) -> inst
                             [] Hears(f) /\ stale -> [inst EXCEPT ![f.by] = Idle(@.life)]
                             [] OTHER -> [inst EXCEPT ![f.by].pc = "active", ![f.by].memory[f.order] = Unread,
                                                      ![f.by].order = None, ![f.by].mark = 0]
                /\ seen' = IF Hears(f) THEN [seen EXCEPT !.denied = @ \union {f.mark}] ELSE seen
        /\ UNCHANGED <<redis, used>>

(* Second half, and the commit. Whoever waits for it acknowledges now (actors/scheduler.py committed). *)
Write(f) ==
    /\ f.passed
    /\ db' = [db EXCEPT !.rows[f.order] = f.row, !.flushes = @ \ {f}]
    /\ inst' = IF Hears(f) THEN [inst EXCEPT ![f.by].pc = "active", ![f.by].memory[f.order] = f.row,
                                             ![f.by].order = None, ![f.by].mark = 0] ELSE inst
    /\ seen' = [seen EXCEPT !.acked = IF Hears(f) THEN @ \union {f.mark} ELSE @,
                            !.late = @ \/ f.reign < seen.read,
                            !.twice = @ \/ (Len(f.row) = 1 /\ db.rows[f.order] # <<>>)]
    /\ UNCHANGED <<redis, used>>

------------------------------------------------------------------------------
(* A commit without an answer: actors/group_commit.py _settle.                      *)

(* The flush is still under way, or done, or never arrived. *)
GiveUpFlush(i) ==
    /\ inst[i].pc = "flushing" /\ used.silences < SilencesMax
    /\ IF SettleClaim = "none"
       THEN inst' = [inst EXCEPT ![i].pc = "settling"] /\ UNCHANGED db
       ELSE /\ inst' = [inst EXCEPT ![i].pc = "reclaiming"]
            /\ db' = [db EXCEPT !.claims = @ \union {Claim(i, TRUE)}]
    /\ used' = [used EXCEPT !.silences = @ + 1]
    /\ UNCHANGED <<redis, seen>>

(* The epoch is new, so the lost flush has landed or never will. A row whose writer is not the mark sends the     *)
(* command back into its mailbox, where the ring of answered commands in the row (actors/dedup.py) has the last   *)
(* word; both are one step here.                                                                                  *)
Settle(i) ==
    LET row == db.rows[inst[i].order]
        mark == inst[i].mark
        written == CASE SettleReads = "ring" -> mark \in Range(row)
                     [] SettleReads = "writer" -> row # <<>> /\ row[Len(row)] = mark
    IN  /\ inst[i].pc = "settling"
        /\ inst' = [inst EXCEPT ![i].pc = "active", ![i].memory[inst[i].order] = row,
                                ![i].order = None, ![i].mark = 0]
        /\ seen' = [seen EXCEPT !.acked = IF written THEN @ \union {mark} ELSE @,
                                !.denied = IF written THEN @ ELSE @ \union {mark},
                                !.read = Higher(@, inst[i].reign)]
        /\ UNCHANGED <<redis, db, used>>

------------------------------------------------------------------------------
(* Losing a shard, and giving it away.                                      *)

(* A tick names another holder: memory is dropped, callers hear "unknown" or "try elsewhere", never yes or no. *)
Lose(i) ==
    /\ redis.lease \notin {None, i} /\ inst[i].pc # "idle"
    /\ Awaited(i) # {} => used.silences < SilencesMax
    /\ inst' = [inst EXCEPT ![i] = Idle(@.life)]
    /\ IF Awaited(i) = {} THEN UNCHANGED <<db, used>>
       ELSE /\ used' = [used EXCEPT !.silences = @ + 1]
            /\ db' = [db EXCEPT !.claims = (@ \ Awaited(i)) \union
                         {[c EXCEPT !.silence = used.silences + 1] : c \in Awaited(i)}]
    /\ UNCHANGED <<redis, seen>>

(* actors/cluster/handover.py, after park and flush: nothing is under way, memory is dropped, and transfer.lua     *)
(* passes the lease. The taker claims as anybody does; a giver that takes the lease back does so by its own claim. *)
HandOff(i, j) ==
    /\ i # j /\ inst[i].pc = "active" /\ inst[j].pc = "idle" /\ redis.lease = i
    /\ redis' = [redis EXCEPT !.lease = j]
    /\ inst' = [inst EXCEPT ![i] = Idle(@.life), ![j].pc = IF HandOffLoads THEN "early" ELSE @]
    /\ UNCHANGED <<db, used, seen>>

(* Calls of the old life may still land. *)
Crash(i) ==
    /\ used.crashes < CrashesMax
    /\ inst' = [inst EXCEPT ![i] = Idle(@.life + 1)]
    /\ used' = [used EXCEPT !.crashes = @ + 1]
    /\ UNCHANGED <<redis, db, seen>>

Next ==
    \/ Forget
    \/ \E i \in Instances :
        \/ Renew(i) \/ Acquire(i) \/ LoadEarly(i) \/ GiveUpClaim(i) \/ GiveUpFlush(i)
        \/ Settle(i) \/ Lose(i) \/ Crash(i)
        \/ \E o \in Orders : Load(i, o) \/ Send(i, o)
        \/ \E j \in Instances : HandOff(i, j)
    \/ \E c \in db.claims : ExecuteClaim(c)
    \/ \E f \in db.flushes : Check(f) \/ Write(f)

Spec == Init /\ [][Next]_vars

------------------------------------------------------------------------------
(* What must hold.                                                          *)

P1 == ~seen.twice                       \* an order is assigned by at most one committed write
P2 == ~seen.late                        \* nobody commits after a later owner has read
P3 == seen.acked \subseteq Written      \* no acknowledgement is false, and none is overwritten
P4 == seen.denied \intersect Written = {}   \* what was declared not written never lands
P5 == ~seen.stolen                      \* settling takes no shard from somebody else (liveness)

(* What must be reachable: a model in which these hold says nothing. *)
OneOwnerAtATime == \A i, j \in Instances : i # j => "active" \notin {inst[i].pc} \intersect {inst[j].pc}
NothingAcked == seen.acked = {}
NothingRefused == seen.denied = {}
NothingSettledAsWritten == \A i \in Instances : ~(inst[i].pc = "settling" /\ inst[i].mark \in Written)
NothingSettledUnderWay ==
    \A i \in Instances : ~(inst[i].pc = "settling" /\ \E f \in db.flushes : f.mark = inst[i].mark)
NoStrayClaimLands ==
    \A i \in Instances : ~(inst[i].pc = "active" /\ db.owner = Me(i) /\ inst[i].epoch # db.epoch)
==============================================================================
