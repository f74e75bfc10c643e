-- flush() for whole batches. The first one looped over its items: 275 us of Postgres's time for each,
-- however many came together. This one decides and writes all of them in one statement: 500 us for one
-- item, 90 for each of 16, 63 for each of 64 (acceptances; `make bench` shows both sides' processor time).
--
-- Foreign keys of what only flush() writes are gone: each cost a query per row, and flush() has just read
-- and locked the very rows they would look for. What is left to guard are the primary keys.
ALTER TABLE order_events DROP CONSTRAINT order_events_order_id_fkey;
ALTER TABLE assignment DROP CONSTRAINT assignment_order_id_fkey, DROP CONSTRAINT assignment_driver_id_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_driver_id_fkey;
-- The same for what create_orders() writes: it has just joined these very rows, and for two lines it paid
-- six checks an order. The other way round the role makes sure: it may not delete what orders point to.
ALTER TABLE orders DROP CONSTRAINT orders_zone_id_fkey, DROP CONSTRAINT orders_store_id_fkey;
ALTER TABLE order_items DROP CONSTRAINT order_items_order_id_fkey, DROP CONSTRAINT order_items_product_id_fkey;
REVOKE DELETE ON zones, users, stores, products FROM mall_app;

-- No query asks for it, and every change of an order wrote it.
DROP INDEX orders_store;

DROP FUNCTION flush(integer[], bigint[], bigint[], jsonb);

-- Write a batch of decisions; lock order and codes are those of 0002_functions.sql:
--   ok | stale (the shard has a newer epoch) | version (the row moved) | illegal (no such transition)
--   offline | busy | elsewhere (the driver cannot take it) | conflict (the order has an assignment already)
-- An item that is not ok has written nothing. No row may stand in a batch twice. Changes of drivers come
-- first; all orders are judged by what was so before the batch, so a slot that one item frees can be taken
-- from the next batch on.
-- p_orders: orders' items. p_drivers: drivers' items. p_locked: every driver that either touches.
-- Answer: {"drivers":[code, ...], "orders":[[code, slot], ...], "feed":[[number of the item, seq], ...]}, in the order
-- of the items, items counted from 1.
--
-- The lanes' sessions have index scans and nested loops only (storage/postgres/database.py): a batch is
-- small and tables are large, and a plan that was made while a table was empty must not last.
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
        PERFORM 1 FROM products WHERE id IN (
            SELECT i.product_id FROM order_items i
             WHERE i.order_id IN (SELECT x.id FROM jsonb_to_recordset(p_orders) AS x(id bigint, restock boolean)
                                   WHERE x.restock)) ORDER BY id FOR NO KEY UPDATE;
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

-- The drivers' part of flush(); their rows and shards are locked.
CREATE FUNCTION flush_drivers(p_items jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_out text;
BEGIN
    WITH item AS MATERIALIZED (
        SELECT x.*, s.epoch IS NOT DISTINCT FROM x.epoch AS owned
          FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
                 id bigint, shard integer, epoch bigint, version integer, writer text, status text,
                 capacity integer, zone bigint, recent jsonb)) WITH ORDINALITY
               AS x(id, shard, epoch, version, writer, status, capacity, zone, recent, ord)
          LEFT JOIN shard s ON s.id = x.shard
    ), moved AS (
        UPDATE drivers d SET status = i.status, capacity = i.capacity, zone_id = i.zone,
               version = d.version + 1, recent = i.recent, writer = i.writer
          FROM item i WHERE i.owned AND d.id = i.id AND d.version = i.version AND d.shard = i.shard
        RETURNING i.ord
    )
    SELECT string_agg(CASE WHEN NOT i.owned THEN '"stale"'
                           WHEN (SELECT m.ord FROM moved m WHERE m.ord = i.ord) IS NULL THEN '"version"'
                           ELSE '"ok"' END, ',' ORDER BY i.ord) INTO v_out FROM item i;
    RETURN v_out;
END
$$;

-- The orders' part of flush(); everything that it touches is locked.
CREATE FUNCTION flush_orders(p_items jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_out text;
BEGIN
    WITH item AS (
        SELECT x.* FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
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
                      OR (i.status = 'assigned' AND o.status = 'confirmed') <> (i.take IS NOT NULL)
                      OR i.take <> i.driver
                      OR (o.status IN ('assigned', 'picked_up') AND i.status IN ('assigned', 'picked_up')
                          AND i.driver IS DISTINCT FROM o.driver_id)
                      OR (o.status IN ('assigned', 'picked_up') AND i.status NOT IN ('assigned', 'picked_up')
                          AND NOT i.free) THEN 'illegal'
                 WHEN i.take IS NULL THEN NULL
                 WHEN d.id IS NULL OR d.status <> 'online' THEN 'offline'
                 WHEN d.zone_id <> i.zone THEN 'elsewhere'
                 WHEN (SELECT a.driver_id FROM assignment a WHERE a.order_id = i.id) IS NOT NULL THEN 'conflict'
                 END AS refusal, d.capacity AS slots
          FROM item i
          LEFT JOIN shard s ON s.id = i.shard
          LEFT JOIN orders o ON o.id = i.id AND o.shard = i.shard
          LEFT JOIN drivers d ON d.id = i.take
    ), ranked AS (
        SELECT l.*, CASE WHEN l.refusal IS NULL AND l.take IS NOT NULL
                         THEN row_number() OVER (PARTITION BY l.take, l.refusal ORDER BY l.ord) END AS nth
          FROM looked l
    ), placed AS MATERIALIZED (
        SELECT r.*, CASE WHEN r.nth IS NOT NULL
                          AND (SELECT count(*) FROM assignment a WHERE a.driver_id = r.take) + r.nth <= r.slots
                    THEN (SELECT n FROM generate_series(0, r.slots - 1) n
                           WHERE (SELECT a.order_id FROM assignment a WHERE a.driver_id = r.take AND a.slot = n) IS NULL
                           ORDER BY n OFFSET r.nth - 1 LIMIT 1) END AS slot
          FROM ranked r
    ), judged AS MATERIALIZED (
        SELECT p.*, CASE WHEN refusal IS NOT NULL THEN refusal
                         WHEN take IS NOT NULL AND slot IS NULL THEN 'busy' ELSE 'ok' END AS code,
               refusal IS NULL AND (take IS NULL OR slot IS NOT NULL) AS fine
          FROM placed p
    ), assigned AS (
        INSERT INTO assignment (order_id, driver_id, slot, since)
        SELECT id, take, slot, to_timestamp(at_ms / 1000.0) FROM judged WHERE fine AND take IS NOT NULL
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
        DELETE FROM assignment WHERE order_id = ANY (ARRAY(SELECT n.id FROM judged n WHERE n.fine AND n.free))
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

REVOKE ALL ON FUNCTION flush, flush_drivers, flush_orders FROM PUBLIC;
GRANT EXECUTE ON FUNCTION flush TO mall_app;

-- The same as in 0002_functions.sql, but for one thing: products that never run out are not locked, so that
-- batches with the same favourite product need not wait for each other. (Should such a product get a stock
-- in that very moment, the column's check keeps it above zero, and the batch is divided and repeated.)
-- Place a batch of orders; each whole or not at all. Codes: created, replayed, in_flight, key_reused,
-- unknown_product, inactive_product, mixed_currency, mixed_zones, out_of_stock. What the domain decides
-- (all but in_flight and key_reused) is remembered under the key, so a repetition gets the same answer.
CREATE OR REPLACE FUNCTION create_orders(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    it record; idem record; c record; z record;
    v_now timestamptz := clock_timestamp();
    v_code text; v_facts jsonb; v_out jsonb := '[]';
    v_mine text[] := '{}'; v_lock text;
BEGIN
    FOR it IN SELECT * FROM jsonb_to_recordset(p_items) AS x(customer bigint, route text, key text) LOOP
        v_lock := it.customer || '/' || it.route || '/' || it.key;
        IF pg_try_advisory_xact_lock(hashtextextended(v_lock, 0)) THEN v_mine := v_mine || v_lock; END IF;
    END LOOP;
    PERFORM 1 FROM products WHERE id IN (
        SELECT l.product FROM jsonb_to_recordset(p_items) AS x(lines jsonb),
               LATERAL jsonb_to_recordset(x.lines) AS l(product bigint))
       AND stock IS NOT NULL ORDER BY id FOR NO KEY UPDATE;

    FOR it IN SELECT * FROM jsonb_to_recordset(p_items) AS x(
        id bigint, shard integer, customer bigint, route text, key text, fingerprint text, lines jsonb,
        lat double precision, lon double precision, address text, payment text, notes text, trace text,
        ttl_s integer, pay_window_s integer)
    LOOP
        v_code := NULL; v_facts := '{}';
        IF NOT (it.customer || '/' || it.route || '/' || it.key) = ANY (v_mine) THEN
            v_out := v_out || jsonb_build_object('code', 'in_flight', 'facts', v_facts);
            CONTINUE;
        END IF;
        SELECT * INTO idem FROM idempotency
         WHERE principal_id = it.customer AND route = it.route AND key_hash = decode(it.key, 'hex');
        IF FOUND AND idem.expires_at > v_now THEN
            IF idem.fingerprint = decode(it.fingerprint, 'hex') THEN
                v_out := v_out || jsonb_build_object('code', idem.code, 'facts', idem.facts, 'replayed', true);
            ELSE
                v_out := v_out || jsonb_build_object('code', 'key_reused', 'facts', v_facts);
            END IF;
            CONTINUE;
        END IF;

        SELECT count(*) FILTER (WHERE p.id IS NULL) AS unknown,
               count(*) FILTER (WHERE NOT (p.active AND s.active)) AS inactive,
               count(*) FILTER (WHERE p.stock < l.quantity) AS short,
               count(DISTINCT p.currency) AS currencies, min(p.currency) AS currency,
               count(DISTINCT s.zone_id) AS zones, min(s.zone_id) AS zone_id,
               sum(p.price_minor * l.quantity)::bigint AS total,
               max(s.preparation_s) AS preparation_s,
               min(s.id) FILTER (WHERE l.line = 1) AS store_id,
               jsonb_agg(l.line - 1 ORDER BY l.line) FILTER (WHERE p.id IS NULL) AS unknown_lines,
               jsonb_agg(l.line - 1 ORDER BY l.line) FILTER (WHERE NOT (p.active AND s.active)) AS inactive_lines,
               jsonb_agg(l.line - 1 ORDER BY l.line) FILTER (WHERE p.stock < l.quantity) AS short_lines
          INTO c
          FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint, quantity integer))
               WITH ORDINALITY AS l(product, quantity, line)
          LEFT JOIN products p ON p.id = l.product LEFT JOIN stores s ON s.id = p.store_id;
        IF c.unknown > 0 THEN
            v_code := 'unknown_product'; v_facts := jsonb_build_object('lines', c.unknown_lines);
        ELSIF c.inactive > 0 THEN
            v_code := 'inactive_product'; v_facts := jsonb_build_object('lines', c.inactive_lines);
        ELSIF c.currencies > 1 THEN
            v_code := 'mixed_currency';
        ELSIF c.zones > 1 THEN
            v_code := 'mixed_zones';
        ELSIF c.short > 0 THEN
            v_code := 'out_of_stock'; v_facts := jsonb_build_object('lines', c.short_lines);
        ELSE
            v_code := 'created';
            SELECT mode INTO z FROM zones WHERE id = c.zone_id;
            UPDATE products p SET stock = p.stock - l.quantity
              FROM jsonb_to_recordset(it.lines) AS l(product bigint, quantity integer)
             WHERE p.id = l.product AND p.stock IS NOT NULL;
            INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, due_at, ready_at,
                                created_at, updated_at, dropoff_lat, dropoff_lon, address, payment, notes,
                                total_minor, currency)
            VALUES (it.id, it.shard, c.zone_id, c.store_id, it.customer,
                    CASE it.payment WHEN 'cash' THEN 'confirmed' ELSE 'awaiting_payment' END, z.mode,
                    date_trunc('milliseconds', CASE it.payment WHEN 'cash' THEN v_now
                               ELSE v_now + make_interval(secs => it.pay_window_s) END),
                    date_trunc('milliseconds', v_now + make_interval(secs => c.preparation_s)),
                    date_trunc('milliseconds', v_now), date_trunc('milliseconds', v_now),
                    it.lat, it.lon, it.address, it.payment, it.notes, c.total, c.currency);
            INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor)
            SELECT it.id, l.line, p.id, p.name, l.quantity, p.price_minor
              FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint, quantity integer))
                   WITH ORDINALITY AS l(product, quantity, line)
              JOIN products p ON p.id = l.product;
            INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)
            VALUES (it.id, 1, 'created', 'customer', 'usr_' || it.customer, it.trace, date_trunc('milliseconds', v_now));
            SELECT to_jsonb(r) INTO v_facts FROM order_rows r WHERE r.id = it.id;
        END IF;
        INSERT INTO idempotency (principal_id, route, key_hash, fingerprint, code, facts, created_at, expires_at)
        VALUES (it.customer, it.route, decode(it.key, 'hex'), decode(it.fingerprint, 'hex'), v_code, v_facts, v_now,
                v_now + make_interval(secs => it.ttl_s))
        ON CONFLICT (principal_id, route, key_hash) DO UPDATE
           SET fingerprint = excluded.fingerprint, code = excluded.code, facts = excluded.facts,
               created_at = excluded.created_at, expires_at = excluded.expires_at;
        v_out := v_out || jsonb_build_object('code', v_code, 'facts', v_facts, 'replayed', false);
    END LOOP;
    RETURN v_out;
END
$$;
