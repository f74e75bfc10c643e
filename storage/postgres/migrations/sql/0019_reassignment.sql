-- An operator hands a carried order over to another driver in one step, and ends what its driver cannot end.

-- As in 0002_functions.sql, and the moves that only operators make: an order without a driver, or before its pick-up, is
-- delivered, undeliverable or returned.
CREATE OR REPLACE FUNCTION order_move_legal(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_from = p_to OR (p_from || '>' || p_to) IN (
        'awaiting_payment>confirmed', 'awaiting_payment>cancelled',
        'confirmed>assigned', 'confirmed>cancelled', 'confirmed>delivered', 'confirmed>undeliverable',
        'assigned>confirmed', 'assigned>picked_up', 'assigned>cancelled', 'assigned>undeliverable', 'assigned>delivered',
        'picked_up>delivered', 'picked_up>undeliverable')
$$;

-- flush_orders() of 0012_slots.sql, whole, but for an order that is handed over (`over`): it takes a slot of the one
-- driver and frees that of the other, and its status stays.
CREATE OR REPLACE FUNCTION flush_orders(p_items jsonb) RETURNS text
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
                 take bigint, zone bigint, free boolean, restock boolean)) WITH ORDINALITY
               AS x(id, shard, epoch, version, writer, status, at_ms, recent, driver, round, mode, search,
                    due_ms, ready_ms, event, role, actor, reason, trace, data, feed, take, zone, free, restock, ord)
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
          LEFT JOIN shard s ON s.id = i.shard
          LEFT JOIN orders o ON o.id = i.id AND o.shard = i.shard
          LEFT JOIN drivers d ON d.id = i.take
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
          FROM judged n WHERE n.fine AND n.over AND a.order_id = n.id
    ), moved AS (
        UPDATE orders o SET status = n.status, version = o.version + 1, driver_id = n.driver,
               round = n.round, mode = n.mode, search = n.search,
               due_at = to_timestamp(n.due_ms / 1000.0), ready_at = to_timestamp(n.ready_ms / 1000.0),
               updated_at = to_timestamp(n.at_ms / 1000.0), recent = n.recent, writer = n.writer
          FROM judged n WHERE n.fine AND o.id = n.id
    ), told AS (
        INSERT INTO order_events (order_id, version, type, actor_role, actor_id, reason, trace, at, data)
        SELECT id, version + 1, event, role, actor, reason, trace, to_timestamp(at_ms / 1000.0), data
          FROM judged WHERE fine
    ), back AS (
        SELECT l.product_id, sum(l.quantity)::integer AS quantity
          FROM judged n JOIN order_items l ON l.order_id = n.id WHERE n.fine AND n.restock GROUP BY l.product_id
    ), restocked AS (
        UPDATE products p SET stock = least(1000000000, p.stock + b.quantity)
          FROM back b WHERE p.id = b.product_id AND p.stock IS NOT NULL
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
          FROM entry e WHERE e.ahead = 1 AND d.id = e.driver
    ), fed AS (
        INSERT INTO driver_events (driver_id, seq, type, order_id, at, trace, data)
        SELECT e.driver, d.feed_seq + e.ahead, e.type, e.id, to_timestamp(e.at_ms / 1000.0), e.trace, e.data
          FROM entry e JOIN drivers d ON d.id = e.driver
    )
    SELECT '"orders":[' || (SELECT string_agg('["' || code || '",' || coalesce(slot::text, 'null') || ']', ',' ORDER BY ord)
                              FROM judged)
           || '],"feed":[' || coalesce((SELECT string_agg('[' || e.ord || ',' || (d.feed_seq + e.ahead) || ']', ','
                                                          ORDER BY e.ord, e.nth)
                                          FROM entry e JOIN drivers d ON d.id = e.driver), '') || ']'
      INTO v_out;
    RETURN v_out;
END
$$;
