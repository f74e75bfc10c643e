-- The only writers of living actors' rows. Each is one call and one commit: a client that freezes can
-- hold no lock, and a lost answer is settled by claiming again (actors/lane.py).
-- Lock order everywhere: shards, products, drivers, orders, assignments, each by id.

-- Which moves of an order's status are legal. dispatch/domain/order.py holds the same pairs; a test
-- compares them.
CREATE FUNCTION order_move_legal(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_from = p_to OR (p_from || '>' || p_to) IN (
        'awaiting_payment>confirmed', 'awaiting_payment>cancelled',
        'confirmed>assigned', 'confirmed>cancelled',
        'assigned>confirmed', 'assigned>picked_up', 'assigned>cancelled', 'assigned>undeliverable',
        'picked_up>delivered', 'picked_up>undeliverable')
$$;

-- Raise the epochs of shards. Waits for every flush that holds them in share mode; every later flush of
-- the old owner sees the new epoch and is refused. The clock in it keeps epochs rising even if Postgres
-- itself fails over to a replica that missed the last claims.
-- With p_expected, an entry per shard, only a shard that still has that epoch or that this very
-- incarnation has claimed is claimed again: who settles must not take back what went to somebody else.
-- A shard that was left alone comes back with new_epoch NULL.
CREATE FUNCTION claim_shards(p_shards integer[], p_owner text, p_incarnation text, p_expected bigint[])
RETURNS TABLE (shard_id integer, new_epoch bigint, previous_epoch bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT id, epoch, incarnation FROM shard WHERE id = ANY (p_shards) ORDER BY id FOR UPDATE LOOP
        shard_id := s.id;
        previous_epoch := s.epoch;
        new_epoch := NULL;
        IF p_expected IS NULL OR s.epoch = p_expected[array_position(p_shards, s.id)]
           OR s.incarnation = p_incarnation THEN
            new_epoch := greatest(s.epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
            UPDATE shard SET epoch = new_epoch, owner = p_owner, incarnation = p_incarnation,
                   claimed_at = clock_timestamp() WHERE id = s.id;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Write a batch of decisions. One code per item, in order:
--   ok | stale (the shard has a newer epoch) | version (the row moved) | illegal (no such transition)
--   offline | busy | elsewhere (the driver cannot take it) | conflict (the order has an assignment already)
-- An item that is not ok has written nothing.
CREATE FUNCTION flush(p_shards integer[], p_drivers bigint[], p_orders bigint[], p_items jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    s record; it record; f record; d record; cur record;
    v_epochs bigint[] := '{}';
    v_out text[] := '{}';
    v_code text; v_slot integer; v_seq bigint; v_seqs text;
BEGIN
    -- The fence. A locking read that had to wait returns the row as it is after the wait; a plain
    -- comparison in WHERE does not, and lets a stale owner commit (tests/integration/test_fence.py).
    FOR s IN SELECT id, epoch FROM shard WHERE id = ANY (p_shards) ORDER BY id FOR SHARE LOOP
        v_epochs[s.id] := s.epoch;
    END LOOP;
    PERFORM 1 FROM products WHERE id IN (
        SELECT i.product_id FROM order_items i
         WHERE i.order_id IN (SELECT x.id FROM jsonb_to_recordset(p_items) AS x(id bigint, restock boolean)
                               WHERE x.restock)) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM drivers WHERE id = ANY (p_drivers) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM orders WHERE id = ANY (p_orders) ORDER BY id FOR NO KEY UPDATE;

    FOR it IN SELECT * FROM jsonb_to_recordset(p_items) AS x(
        kind text, id bigint, shard integer, epoch bigint, version integer, writer text, status text,
        at_ms bigint, recent jsonb, driver bigint, round integer, mode text, search jsonb, due_ms bigint,
        ready_ms bigint, event text, role text, actor text, reason text, trace text, data jsonb, feed jsonb,
        take bigint, zone bigint, free boolean, restock boolean, capacity integer)
    LOOP
        v_code := 'ok'; v_slot := NULL; v_seqs := '';
        IF v_epochs[it.shard] IS DISTINCT FROM it.epoch THEN
            v_code := 'stale';
        ELSIF it.kind = 'driver' THEN
            UPDATE drivers SET status = it.status, capacity = it.capacity, zone_id = it.zone,
                   version = version + 1, recent = it.recent, writer = it.writer
             WHERE id = it.id AND version = it.version AND shard = it.shard;
            IF NOT FOUND THEN v_code := 'version'; END IF;
        ELSE
            SELECT status, version, driver_id INTO cur FROM orders WHERE id = it.id AND shard = it.shard FOR NO KEY UPDATE;
            IF NOT FOUND OR cur.version <> it.version THEN
                v_code := 'version';
            ELSIF NOT order_move_legal(cur.status, it.status)
                  -- An order is carried by whom it was assigned to, from the taking of a slot to its freeing.
                  OR (it.status = 'assigned' AND cur.status = 'confirmed') <> (it.take IS NOT NULL)
                  OR it.take <> it.driver
                  OR (cur.status IN ('assigned', 'picked_up') AND it.status IN ('assigned', 'picked_up')
                      AND it.driver IS DISTINCT FROM cur.driver_id)
                  OR (cur.status IN ('assigned', 'picked_up') AND it.status NOT IN ('assigned', 'picked_up')
                      AND NOT it.free) THEN
                v_code := 'illegal';
            ELSIF it.take IS NOT NULL THEN
                SELECT status, capacity, zone_id INTO d FROM drivers WHERE id = it.take FOR NO KEY UPDATE;
                IF NOT FOUND OR d.status <> 'online' THEN
                    v_code := 'offline';
                ELSIF it.zone IS NOT NULL AND d.zone_id <> it.zone THEN
                    v_code := 'elsewhere';
                ELSE
                    SELECT n INTO v_slot FROM generate_series(0, d.capacity - 1) n
                     WHERE NOT EXISTS (SELECT FROM assignment a WHERE a.driver_id = it.take AND a.slot = n)
                     ORDER BY n LIMIT 1;
                    -- Counted, too: a capacity that was lowered leaves slots above it taken.
                    IF v_slot IS NULL
                       OR (SELECT count(*) FROM assignment a WHERE a.driver_id = it.take) >= d.capacity THEN
                        v_code := 'busy'; v_slot := NULL;
                    ELSE
                        INSERT INTO assignment (order_id, driver_id, slot, since)
                        VALUES (it.id, it.take, v_slot, to_timestamp(it.at_ms / 1000.0))
                        ON CONFLICT DO NOTHING;
                        IF NOT FOUND THEN v_code := 'conflict'; END IF;
                    END IF;
                END IF;
            END IF;
            IF v_code = 'ok' THEN
                UPDATE orders SET status = it.status, version = version + 1, driver_id = it.driver,
                       round = it.round, mode = it.mode, search = it.search,
                       due_at = to_timestamp(it.due_ms / 1000.0), ready_at = to_timestamp(it.ready_ms / 1000.0),
                       updated_at = to_timestamp(it.at_ms / 1000.0), recent = it.recent, writer = it.writer
                 WHERE id = it.id;
                INSERT INTO order_events (order_id, version, type, actor_role, actor_id, reason, trace, at, data)
                VALUES (it.id, it.version + 1, it.event, it.role, it.actor, it.reason, it.trace,
                        to_timestamp(it.at_ms / 1000.0), it.data);
                IF it.free THEN
                    DELETE FROM assignment WHERE order_id = it.id;
                END IF;
                IF it.restock THEN
                    UPDATE products p SET stock = least(1000000000, p.stock + i.quantity)
                      FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM order_items
                             WHERE order_id = it.id GROUP BY product_id) i
                     WHERE p.id = i.product_id AND p.stock IS NOT NULL;
                END IF;
                IF it.feed IS NOT NULL THEN
                    FOR f IN SELECT * FROM jsonb_to_recordset(it.feed) AS y(driver bigint, type text, data jsonb) LOOP
                        UPDATE drivers SET feed_seq = feed_seq + 1 WHERE id = f.driver RETURNING feed_seq INTO v_seq;
                        INSERT INTO driver_events (driver_id, seq, type, order_id, at, trace, data)
                        VALUES (f.driver, v_seq, f.type, it.id, to_timestamp(it.at_ms / 1000.0), it.trace, f.data);
                        v_seqs := v_seqs || ',' || v_seq;
                    END LOOP;
                END IF;
            END IF;
        END IF;
        v_out := v_out || ('{"c":"' || v_code || '","slot":' || coalesce(v_slot::text, 'null')
                           || ',"seqs":[' || ltrim(v_seqs, ',') || ']}');
    END LOOP;
    RETURN '[' || array_to_string(v_out, ',') || ']';
END
$$;

-- Place a batch of orders; each whole or not at all. Codes: created, replayed, in_flight, key_reused,
-- unknown_product, inactive_product, mixed_currency, mixed_zones, out_of_stock. What the domain decides
-- (all but in_flight and key_reused) is remembered under the key, so a repetition gets the same answer.
CREATE FUNCTION create_orders(p_items jsonb) RETURNS jsonb
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
               LATERAL jsonb_to_recordset(x.lines) AS l(product bigint)) ORDER BY id FOR NO KEY UPDATE;

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

-- A new driver's row; its number is the user's.
CREATE FUNCTION create_drivers(p_items jsonb) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH made AS (
        INSERT INTO drivers (id, shard, zone_id, capacity)
        SELECT x.id, x.shard, x.zone, x.capacity
          FROM jsonb_to_recordset(p_items) AS x(id bigint, shard integer, zone bigint, capacity integer)
        RETURNING 1)
    SELECT count(*)::integer FROM made
$$;

-- Last known places, written now and then: losing the newest ones costs a worse first offer, nothing else.
-- Rows that somebody works on are left for the next time: acceptances never wait for a map.
CREATE FUNCTION save_positions(p_items jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids bigint[];
BEGIN
    v_ids := ARRAY(SELECT id FROM drivers
                    WHERE id IN (SELECT x.id FROM jsonb_to_recordset(p_items) AS x(id bigint))
                    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
    UPDATE drivers d SET lat = x.lat, lon = x.lon, located_at = now()
      FROM jsonb_to_recordset(p_items) AS x(id bigint, lat double precision, lon double precision)
     WHERE d.id = x.id AND d.id = ANY (v_ids);
END
$$;

-- Feed entries and idempotency keys past their time, a bounded number at once.
CREATE FUNCTION trim_expired(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_events integer; v_keys integer;
BEGIN
    DELETE FROM driver_events WHERE ctid IN (
        SELECT ctid FROM driver_events WHERE at < now() - make_interval(days => p_days) LIMIT p_limit);
    GET DIAGNOSTICS v_events = ROW_COUNT;
    DELETE FROM idempotency WHERE ctid IN (
        SELECT ctid FROM idempotency WHERE expires_at < now() LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_keys = ROW_COUNT;
    RETURN v_events + v_keys;
END
$$;
