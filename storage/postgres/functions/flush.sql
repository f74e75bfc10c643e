-- Writing decisions: the only way to change an order or a driver that has an actor. An acceptance is written here.
--
-- Promises (README.md at the root): an order has one driver and a driver no more orders than its capacity (1); what
-- is answered is committed (2); the feed of a driver grows without a gap, in the same commit (3); a batch is one
-- call, one round trip and one commit (4). No lock waits for a client: a client that freezes has sent the whole call
-- or none of it.
--
-- Lock order of all functions: shards, products, drivers, orders, assignments, each by id.

-- Writes a batch of decisions. Returns {"drivers": [code, ...], "orders": [[code, slot], ...], "feed": [[item, seq],
-- ...]}, each list in the order of the items; items of the feed count the orders' items from 1. Codes:
--   ok        written
--   stale     the shard has a newer epoch: another instance has claimed it
--   version   the row has changed since the decision
--   illegal   no such transition, or the assignment would not fit the status
--   offline, elsewhere, busy   the driver is offline, in another zone, or has no free slot
--   conflict  the order has an assignment already
-- An item that is not ok has written nothing. No row may be in a batch twice.
--
-- p_shards, p_locked (drivers), p_numbers (orders): every row that the batch touches, to be locked first.
-- p_orders, p_drivers: the items, NULL for none. p_restock: some order gives back what it took from the stock.
--
-- Changes of drivers come first. All orders are judged by the state before the batch: a slot that one item frees can
-- be taken from the next batch on.
--
-- The sessions of commit lanes use index scans and nested loops only (storage/postgres/database.py). A batch is small
-- and the tables are large, and a plan that was made while a table was empty must not last.
--
-- Where a batch meets a table, the condition is `= ANY (ARRAY[x])`, not `= x`. Both use the index. But with `=` the planner
-- may turn the loop around where a table is nearly empty when the plan is made, and that plan reads the whole table for
-- each batch until statistics are made again: assignments are few at night (tests/integration/test_bounded_plans.py).
CREATE FUNCTION flush(p_shards integer[], p_locked bigint[], p_numbers bigint[], p_orders jsonb,
                      p_drivers jsonb, p_restock boolean) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_orders text := '"orders":[],"feed":[]';
    v_drivers text := '';
BEGIN
    -- The fence. A locking read that had to wait returns the row as it is after the wait, and every statement
    -- below has a snapshot of its own, taken later; a comparison in the WHERE of one statement would believe
    -- the row as it was, and let a stale owner commit (tests/integration/test_fence.py).
    PERFORM 1 FROM shard WHERE id = ANY (p_shards) ORDER BY id FOR SHARE;
    IF p_restock THEN
        PERFORM 1 FROM products WHERE id = ANY (ARRAY(
            SELECT i.product_id FROM order_items i
             WHERE i.order_id = ANY (ARRAY(SELECT x.id FROM jsonb_to_recordset(p_orders) AS x(id bigint, restock boolean)
                                            WHERE x.restock)))) ORDER BY id FOR NO KEY UPDATE;
    END IF;
    PERFORM 1 FROM drivers WHERE id = ANY (p_locked) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM orders WHERE id = ANY (p_numbers) ORDER BY id FOR NO KEY UPDATE;
    IF p_drivers IS NOT NULL THEN
        v_drivers := flush_drivers(p_drivers);
    END IF;
    IF p_orders IS NOT NULL THEN
        v_orders := flush_orders(p_orders);
    END IF;
    RETURN '{"drivers":[' || v_drivers || '],' || v_orders || '}';
END
$$;
REVOKE ALL ON FUNCTION flush FROM PUBLIC;
GRANT EXECUTE ON FUNCTION flush TO mall_app;

-- The orders' part of flush(), with every row locked. One statement decides and writes the whole batch. Each of its
-- parts sees the rows as they were before it.
--
-- An item has what is compared (id, shard, epoch, version), the new state (status, driver, round, mode, search, due_ms,
-- ready_ms, ready_each, recent, writer), the event (event, role, actor, reason, trace, data, at_ms) and its effects:
--   take       the driver whose slot the order takes; the driver must be online, and in `zone` where that is given
--   free       the order's slot becomes free
--   restock    the order gives back what it took from the stock
--   feed       entries for drivers' feeds: [{driver, type, data}, ...]
--
-- The code `illegal` keeps status and assignment together. An order takes a slot exactly when it becomes assigned or is
-- handed over. While it is carried its driver stays the same, but for a hand-over. It leaves the carried statuses only
-- together with its slot.
--
-- Parts of the statement:
--   item       the input with its position; `over` marks an order that goes from one driver straight to another
--   looked     each item beside its rows, and what refuses it: epoch, version, transition, the driver, the assignment
--   ranked     for an item that wants a slot: its position among the items of this driver, and the slots that are taken
--   placed     the slot: the free ones from below, in the order of the items, while the driver's orders stay within its
--              capacity (counted, because a capacity that was lowered leaves slots above it taken)
--   judged     the code of each item; only those that are `fine` are written below
--   assigned, handed, freed     the assignment: made, moved to the other driver, deleted
--   moved      the order, with its next version
--   told       the event of the order's history, under the same version
--   outboxed   the outbox gets a row when others want to know of the event (dispatch/jobs/events.py)
--   back, restocked             what the order had taken returns to the stock, once
--   entry, grown, fed           entries of drivers' feeds; each driver's are numbered on from its feed_seq
CREATE FUNCTION flush_orders(p_items jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_out text;
BEGIN
    WITH item AS (
        -- over: handed over, from the driver that carries it to another one.
        SELECT x.*, x.free AND x.status IN ('assigned', 'picked_up') AS over
          FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
                 id bigint, shard integer, epoch bigint, version integer, writer text, status text,
                 at_ms bigint, recent jsonb, driver bigint, round integer, mode text, search jsonb, due_ms bigint,
                 ready_ms bigint, event text, role text, actor text, reason text, trace text, data jsonb, feed jsonb,
                 take bigint, zone bigint, free boolean, restock boolean, ready_each jsonb)) WITH ORDINALITY
               AS x(id, shard, epoch, version, writer, status, at_ms, recent, driver, round, mode, search,
                    due_ms, ready_ms, event, role, actor, reason, trace, data, feed, take, zone, free, restock, ready_each, ord)
    ), looked AS (
        SELECT i.*, CASE
                 WHEN s.epoch IS DISTINCT FROM i.epoch THEN 'stale'
                 WHEN o.id IS NULL OR o.version <> i.version THEN 'version'
                 WHEN NOT order_move_legal(o.status, i.status)
                      OR ((i.status = 'assigned' AND o.status = 'confirmed') OR i.over) <> (i.take IS NOT NULL)
                      OR i.take <> i.driver OR (i.over AND (i.status <> o.status OR i.take = o.driver_id))
                      OR (o.status IN ('assigned', 'picked_up') AND i.status IN ('assigned', 'picked_up')
                          AND i.driver IS DISTINCT FROM o.driver_id AND NOT i.over)
                      OR (o.status IN ('assigned', 'picked_up') AND i.status NOT IN ('assigned', 'picked_up')
                          AND NOT i.free) THEN 'illegal'
                 WHEN i.take IS NULL THEN NULL
                 WHEN d.id IS NULL OR d.status <> 'online' THEN 'offline'
                 WHEN d.zone_id <> i.zone THEN 'elsewhere'
                 WHEN (SELECT a.driver_id FROM assignment a WHERE a.order_id = i.id)
                      IS DISTINCT FROM CASE WHEN i.over THEN o.driver_id END THEN 'conflict'
                 END AS refusal, d.capacity AS slots
          FROM item i
          LEFT JOIN shard s ON s.id = ANY (ARRAY[i.shard])
          LEFT JOIN orders o ON o.id = ANY (ARRAY[i.id]) AND o.shard = i.shard
          LEFT JOIN drivers d ON d.id = ANY (ARRAY[i.take])
    ), ranked AS (
        SELECT l.*, CASE WHEN l.refusal IS NULL AND l.take IS NOT NULL
                         THEN row_number() OVER (PARTITION BY l.take, l.refusal ORDER BY l.ord) END AS nth,
               CASE WHEN l.refusal IS NULL AND l.take IS NOT NULL
                    THEN ARRAY(SELECT a.slot FROM assignment a WHERE a.driver_id = l.take) END AS taken
          FROM looked l
    ), placed AS MATERIALIZED (
        SELECT r.*, CASE WHEN r.nth IS NOT NULL AND cardinality(r.taken) + r.nth <= r.slots
                    THEN (SELECT n FROM generate_series(0, r.slots - 1) n WHERE n <> ALL (r.taken)
                           ORDER BY n OFFSET r.nth - 1 LIMIT 1) END AS slot
          FROM ranked r
    ), judged AS MATERIALIZED (
        SELECT p.*, CASE WHEN refusal IS NOT NULL THEN refusal
                         WHEN take IS NOT NULL AND slot IS NULL THEN 'busy' ELSE 'ok' END AS code,
               refusal IS NULL AND (take IS NULL OR slot IS NOT NULL) AS fine
          FROM placed p
    ), assigned AS (
        INSERT INTO assignment (order_id, driver_id, slot, since)
        SELECT id, take, slot, to_timestamp(at_ms / 1000.0) FROM judged
         WHERE fine AND take IS NOT NULL AND NOT over
    ), handed AS (
        UPDATE assignment a SET driver_id = n.take, slot = n.slot, since = to_timestamp(n.at_ms / 1000.0)
          FROM judged n WHERE n.fine AND n.over AND a.order_id = ANY (ARRAY[n.id])
    ), moved AS (
        UPDATE orders o SET status = n.status, version = o.version + 1, driver_id = n.driver,
               round = n.round, mode = n.mode, search = n.search,
               due_at = to_timestamp(n.due_ms / 1000.0), ready_at = to_timestamp(n.ready_ms / 1000.0),
               updated_at = to_timestamp(n.at_ms / 1000.0), recent = n.recent, writer = n.writer,
               ready_each = n.ready_each
          FROM judged n WHERE n.fine AND o.id = ANY (ARRAY[n.id])
    ), told AS (
        INSERT INTO order_events (order_id, version, type, actor_role, actor_id, reason, trace, at, data)
        SELECT id, version + 1, event, role, actor, reason, trace, to_timestamp(at_ms / 1000.0), data
          FROM judged WHERE fine
    ), outboxed AS (
        INSERT INTO outbox (topic, ref, version)
        SELECT 'order', id, version + 1 FROM judged
         WHERE fine AND event IN ('paid', 'assigned', 'handed_over', 'released', 'picked_up', 'delivered', 'cancelled',
                                  'failed', 'returned')
    ), back AS (
        UPDATE order_items l SET returned = l.taken
          FROM judged n WHERE n.fine AND n.restock AND l.order_id = ANY (ARRAY[n.id]) AND l.returned < l.taken
        RETURNING l.product_id, l.taken
    ), restocked AS (
        UPDATE products p SET stock = least(1000000000, p.stock + b.quantity)
          FROM (SELECT product_id, sum(taken)::integer AS quantity FROM back GROUP BY product_id) b
         WHERE p.id = ANY (ARRAY[b.product_id]) AND p.stock IS NOT NULL
    ), freed AS (
        DELETE FROM assignment WHERE order_id = ANY (ARRAY(SELECT n.id FROM judged n WHERE n.fine AND n.free AND NOT n.over))
    ), entry AS MATERIALIZED (
        SELECT n.ord, n.id, n.at_ms, n.trace, f.driver, f.type, f.data, f.nth,
               row_number() OVER (PARTITION BY f.driver ORDER BY n.ord, f.nth) AS ahead,
               count(*) OVER (PARTITION BY f.driver) AS many
          FROM judged n, ROWS FROM (jsonb_to_recordset(n.feed) AS (driver bigint, type text, data jsonb))
                       WITH ORDINALITY AS f(driver, type, data, nth)
         WHERE n.fine AND n.feed IS NOT NULL
    ), grown AS (
        UPDATE drivers d SET feed_seq = d.feed_seq + e.many
          FROM entry e WHERE e.ahead = 1 AND d.id = ANY (ARRAY[e.driver])
    ), fed AS (
        INSERT INTO driver_events (driver_id, seq, type, order_id, at, trace, data)
        SELECT e.driver, d.feed_seq + e.ahead, e.type, e.id, to_timestamp(e.at_ms / 1000.0), e.trace, e.data
          FROM entry e JOIN drivers d ON d.id = ANY (ARRAY[e.driver])
    )
    SELECT '"orders":[' || (SELECT string_agg('["' || code || '",' || coalesce(slot::text, 'null') || ']', ',' ORDER BY ord)
                              FROM judged)
           || '],"feed":[' || coalesce((SELECT string_agg('[' || e.ord || ',' || (d.feed_seq + e.ahead) || ']', ','
                                                          ORDER BY e.ord, e.nth)
                                          FROM entry e JOIN drivers d ON d.id = ANY (ARRAY[e.driver])), '') || ']'
      INTO v_out;
    RETURN v_out;
END
$$;
REVOKE ALL ON FUNCTION flush_orders FROM PUBLIC;

-- The drivers' part of flush(), with every row locked: availability, capacity and zone, at the driver's version and
-- under the epoch of its shard. feed_seq and the slots are not under the version: flushes of orders change them.
CREATE FUNCTION flush_drivers(p_items jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_out text;
BEGIN
    WITH item AS MATERIALIZED (
        SELECT x.*, s.epoch IS NOT DISTINCT FROM x.epoch AS owned
          FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
                 id bigint, shard integer, epoch bigint, version integer, writer text, status text,
                 capacity integer, zone bigint, recent jsonb, unreachable_ms bigint,
                 shift_ends_ms bigint)) WITH ORDINALITY
               AS x(id, shard, epoch, version, writer, status, capacity, zone, recent, unreachable_ms, shift_ends_ms,
                    ord)
          LEFT JOIN shard s ON s.id = ANY (ARRAY[x.shard])
    ), moved AS (
        UPDATE drivers d SET status = i.status, capacity = i.capacity, zone_id = i.zone,
               version = d.version + 1, recent = i.recent, writer = i.writer,
               unreachable_at = to_timestamp(i.unreachable_ms / 1000.0),
               shift_ends_at = to_timestamp(i.shift_ends_ms / 1000.0)
          FROM item i WHERE i.owned AND d.id = ANY (ARRAY[i.id]) AND d.version = i.version AND d.shard = i.shard
        RETURNING i.ord
    )
    SELECT string_agg(CASE WHEN NOT i.owned THEN '"stale"'
                           WHEN (SELECT m.ord FROM moved m WHERE m.ord = i.ord) IS NULL THEN '"version"'
                           ELSE '"ok"' END, ',' ORDER BY i.ord) INTO v_out FROM item i;
    RETURN v_out;
END
$$;
REVOKE ALL ON FUNCTION flush_drivers FROM PUBLIC;

-- Which changes of an order's status are legal. The same pairs are in dispatch/domain/order.py; a test compares them.
-- Operators alone conclude an order that no driver carries, or deliver one before its pick-up.
CREATE FUNCTION order_move_legal(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_from = p_to OR (p_from || '>' || p_to) IN (
        'awaiting_payment>confirmed', 'awaiting_payment>cancelled',
        'confirmed>assigned', 'confirmed>cancelled', 'confirmed>delivered', 'confirmed>undeliverable',
        'assigned>confirmed', 'assigned>picked_up', 'assigned>cancelled', 'assigned>undeliverable', 'assigned>delivered',
        'picked_up>delivered', 'picked_up>undeliverable')
$$;
