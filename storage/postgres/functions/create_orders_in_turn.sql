-- Places orders one after the other; create_orders() calls it for what it does not decide as a batch. Items, codes,
-- answers and locks are those of create_orders(). Each item in turn: the key (in use, known, expired), the products,
-- currency, zone, distance, expected price, stock, bounds of the customer; then the writes; then the answer under the
-- key. Its plans look rows up by their numbers, with index scans and nested loops.
CREATE FUNCTION create_orders_in_turn(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    it record; idem record; c record; z record; h record;
    v_now timestamptz := clock_timestamp();
    v_at timestamptz := date_trunc('milliseconds', v_now);
    v_ms bigint := (extract(epoch FROM v_at) * 1000)::bigint;
    v_limited bigint[];
    v_pickups jsonb; v_ready_each jsonb; v_earliest_s double precision; v_held_s double precision;
    v_code text; v_facts jsonb; v_out jsonb := '[]';
    v_mine text[] := '{}'; v_lock text;
BEGIN
    FOR it IN SELECT * FROM jsonb_to_recordset(p_items) AS x(customer bigint, route text, key text) LOOP
        v_lock := it.customer || '/' || it.route || '/' || it.key;
        IF pg_try_advisory_xact_lock(hashtextextended(v_lock, 0)) THEN v_mine := v_mine || v_lock; END IF;
    END LOOP;
    v_limited := ARRAY(SELECT id FROM products WHERE id IN (
        SELECT l.product FROM jsonb_to_recordset(p_items) AS x(lines jsonb),
               LATERAL jsonb_to_recordset(x.lines) AS l(product bigint))
       AND stock IS NOT NULL ORDER BY id FOR NO KEY UPDATE);
    PERFORM lock_holders(p_items, v_limited);

    FOR it IN SELECT * FROM jsonb_to_recordset(p_items) AS x(
        id bigint, shard integer, customer bigint, route text, key text, fingerprint text, lines jsonb,
        lat double precision, lon double precision, address text, payment text, notes text, trace text,
        ttl_s integer, pay_window_s integer, contact_name text, contact_phone text, expected bigint,
        expected_currency text, unpaid_max integer, held_max integer, low_stock integer, wish jsonb)
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
               sum(p.price_minor * l.quantity)::bigint + coalesce((it.wish ->> 'tip_minor')::bigint, 0) AS total,
               max(CASE WHEN s.preparation_learned THEN learned_preparation_s(s.zone_id, s.id, v_at, s.preparation_s)
                        ELSE s.preparation_s END) AS preparation_s,
               min(s.id) FILTER (WHERE l.line = 1) AS store_id,
               coalesce(sum(l.quantity) FILTER (WHERE p.stock IS NOT NULL), 0) AS pieces,
               bool_or(metres_between(s.lat, s.lon, it.lat, it.lon) > s.delivery_radius_m) AS far,
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
        ELSIF c.currencies > 1 OR c.zones > 1 THEN
            v_code := CASE WHEN c.currencies > 1 THEN 'mixed_currency' ELSE 'mixed_zones' END;
            -- The lines that are unlike the first one.
            SELECT jsonb_build_object('lines', jsonb_agg(x.line - 1 ORDER BY x.line) FILTER (
                       WHERE CASE WHEN c.currencies > 1 THEN x.currency <> x.currency_1 ELSE x.zone_id <> x.zone_1 END))
              INTO v_facts
              FROM (SELECT l.line, p.currency, s.zone_id, first_value(p.currency) OVER w AS currency_1,
                           first_value(s.zone_id) OVER w AS zone_1
                      FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint))
                           WITH ORDINALITY AS l(product, line)
                      JOIN products p ON p.id = l.product JOIN stores s ON s.id = p.store_id
                    WINDOW w AS (ORDER BY l.line)) x;
        ELSIF c.far THEN
            v_code := 'out_of_range';
            SELECT jsonb_build_object('distance_m', ceil(max(away.m))::bigint, 'radius_m', min(s.delivery_radius_m))
              INTO v_facts
              FROM jsonb_to_recordset(it.lines) AS l(product bigint)
              JOIN products p ON p.id = l.product JOIN stores s ON s.id = p.store_id,
                   LATERAL (SELECT metres_between(s.lat, s.lon, it.lat, it.lon) AS m) away
             WHERE away.m > s.delivery_radius_m;
        ELSIF it.expected <> c.total OR it.expected_currency <> c.currency THEN
            v_code := 'price_changed';
            SELECT jsonb_build_object('total_minor', c.total, 'currency', c.currency,
                                      'prices', jsonb_agg(jsonb_build_array(p.id, p.price_minor) ORDER BY l.line))
              INTO v_facts
              FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint)) WITH ORDINALITY AS l(product, line)
              JOIN products p ON p.id = l.product;
        ELSIF c.short > 0 THEN
            v_code := 'out_of_stock'; v_facts := jsonb_build_object('lines', c.short_lines);
        ELSIF it.payment = 'card' OR c.pieces > 0 THEN
            SELECT * INTO h FROM held_by(ARRAY[it.customer]);
            IF it.payment = 'card' AND coalesce(h.unpaid, 0) >= it.unpaid_max THEN
                v_code := 'too_many_unpaid';
                v_facts := jsonb_build_object('unpaid', h.unpaid, 'max', it.unpaid_max);
            ELSIF c.pieces > 0 AND coalesce(h.pieces, 0) + c.pieces > it.held_max THEN
                v_code := 'too_many_held';
                v_facts := jsonb_build_object('held', coalesce(h.pieces, 0), 'wanted', c.pieces, 'max', it.held_max);
            END IF;
        END IF;
        IF v_code IS NULL THEN
            SELECT o.mode, o.driver_pay_minor, o.delivery_rules, (v_at AT TIME ZONE o.time_zone)::date AS day,
                   c.preparation_s + way_s(o.planning, metres_between(s.lat, s.lon, it.lat, it.lon)) AS there_s,
                   coalesce(t.likely_s, 900 / coalesce((o.planning ->> 'time_scale')::double precision, 1)) AS likely_s,
                   coalesce(t.late_s, 1800 / coalesce((o.planning ->> 'time_scale')::double precision, 1)) AS late_s
              INTO z
              FROM zones o JOIN stores s ON s.id = c.store_id LEFT JOIN delivery_times t ON t.zone_id = o.id
             WHERE o.id = c.zone_id;
            v_earliest_s := z.there_s + z.likely_s;
            v_held_s := held_back_s(it.wish, v_ms, v_earliest_s);
            IF (it.wish ->> 'deliver_ms')::bigint < v_ms + 1000 * v_earliest_s THEN
                v_code := 'too_soon';
                v_facts := jsonb_build_object('earliest_ms', ceil(v_ms + 1000 * v_earliest_s)::bigint);
            END IF;
        END IF;
        IF v_code IS NULL THEN
            v_code := 'created';
            WITH stop AS MATERIALIZED (
                SELECT s.id, s.name, s.lat, s.lon, min(l.line) AS first,
                       CASE WHEN s.preparation_learned THEN learned_preparation_s(s.zone_id, s.id, v_at, s.preparation_s)
                            ELSE s.preparation_s END AS preparation_s,
                       jsonb_agg(l.line - 1 ORDER BY l.line) AS lines
                  FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint)) WITH ORDINALITY AS l(product, line)
                  JOIN products p ON p.id = l.product JOIN stores s ON s.id = p.store_id GROUP BY s.id
            ), counted AS (
                INSERT INTO store_days AS d (store_id, day, last) SELECT id, z.day, 1 FROM stop ORDER BY id
                ON CONFLICT (store_id, day) DO UPDATE SET last = d.last + 1 RETURNING store_id, last
            )
            SELECT jsonb_agg(jsonb_build_array(s.id, s.name, s.lat, s.lon, n.last, s.lines) ORDER BY s.first),
                   CASE WHEN count(*) > 1 THEN jsonb_agg(v_ms + (1000 * (s.preparation_s + v_held_s))::bigint ORDER BY s.first) END
              INTO v_pickups, v_ready_each
              FROM stop s JOIN counted n ON n.store_id = s.id;
            WITH taken AS (
                UPDATE products p SET stock = p.stock - l.quantity
                  FROM jsonb_to_recordset(it.lines) AS l(product bigint, quantity integer)
                 WHERE p.id = l.product AND p.stock IS NOT NULL
                RETURNING p.id, p.stock + l.quantity AS before, p.stock AS after,
                          coalesce(p.low_stock, it.low_stock, 0) AS low
            )
            INSERT INTO outbox (topic, ref, version, trace, data)
            SELECT 'stock', t.id, 0, it.trace, jsonb_build_object('event', e.event, 'stock', t.after, 'limit', t.low)
              FROM taken t CROSS JOIN LATERAL stock_events(t.before, t.after, t.low) e
             WHERE t.after = 0 OR (t.before > t.low AND t.after <= t.low) ORDER BY t.id;
            INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, due_at, ready_at,
                                created_at, updated_at, dropoff_lat, dropoff_lon, address, payment, notes,
                                total_minor, currency, pickups, ready_each, contact_name, contact_phone, driver_pay_minor,
                                expected_at, promised_at, terms)
            VALUES (it.id, it.shard, c.zone_id, c.store_id, it.customer,
                    CASE WHEN it.payment = 'cash' OR c.total = 0 THEN 'confirmed' ELSE 'awaiting_payment' END, z.mode,
                    date_trunc('milliseconds', CASE WHEN it.payment = 'cash' OR c.total = 0 THEN v_now
                               ELSE v_now + make_interval(secs => it.pay_window_s) END),
                    date_trunc('milliseconds', v_now + make_interval(secs => c.preparation_s + v_held_s)),
                    date_trunc('milliseconds', v_now), date_trunc('milliseconds', v_now),
                    it.lat, it.lon, it.address, it.payment, it.notes, c.total, c.currency, v_pickups, v_ready_each,
                    coalesce(it.contact_name, (SELECT name FROM users WHERE id = it.customer)), it.contact_phone, z.driver_pay_minor,
                    date_trunc('milliseconds', v_now + make_interval(secs => z.there_s + z.likely_s + v_held_s)),
                    date_trunc('milliseconds', v_now + make_interval(secs => z.there_s + z.late_s + v_held_s)),
                    CASE WHEN it.wish IS NOT NULL OR z.delivery_rules IS NOT NULL THEN order_terms(it.wish, z.delivery_rules) END);
            INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor, taken)
            SELECT it.id, l.line, p.id, p.name, l.quantity, p.price_minor,
                   CASE WHEN p.stock IS NULL THEN 0 ELSE l.quantity END
              FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint, quantity integer))
                   WITH ORDINALITY AS l(product, quantity, line)
              JOIN products p ON p.id = l.product;
            INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)
            VALUES (it.id, 1, 'created', 'customer', 'usr_' || it.customer, it.trace, date_trunc('milliseconds', v_now));
            INSERT INTO outbox (topic, ref, version) VALUES ('order', it.id, 1);
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
REVOKE ALL ON FUNCTION create_orders_in_turn FROM PUBLIC;
