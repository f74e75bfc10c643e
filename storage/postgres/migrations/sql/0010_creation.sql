-- create_orders() for whole batches, as flush() is since 0004_batches.sql: what is plain is decided and written by a
-- few statements for all of it (two lines an order, 20,000 products: 205 us an order in turn; in batches of 16 now
-- 125 us, of 32 and 64 105 to 115). The rest goes through the old function, one after the other: requests under a key
-- that somebody else is at, that stands in the batch twice or was used before; requests that the domain refuses; and
-- all that want a product of which there is not enough for everybody, because then it matters who came first.
ALTER FUNCTION create_orders(jsonb) RENAME TO create_orders_in_turn;
REVOKE ALL ON FUNCTION create_orders_in_turn(jsonb) FROM mall_app;
-- Place a batch of orders; each whole or not at all. p_items, codes and answer are those of create_orders_in_turn()
-- (0009_geo.sql), and so is the order of locks: keys (nobody waits for one), then limited products by number.
CREATE FUNCTION create_orders(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_at timestamptz := date_trunc('milliseconds', v_now);
    v_count integer := jsonb_array_length(p_items);
    v_mine bigint[]; v_products bigint[]; v_stores bigint[]; v_made bigint[]; v_ids bigint[];
    v_out jsonb; v_rest bigint[]; v_answers jsonb;
BEGIN
    -- The statements for a batch cost as much as three turns.
    IF v_count < 4 THEN
        RETURN create_orders_in_turn(p_items);
    END IF;

    -- A second one under the same key is a repetition of the first, and left to the turns.
    SELECT array_agg(k.at) INTO v_mine FROM (
        SELECT min(x.at) AS at, pg_try_advisory_xact_lock(hashtextextended(x.customer || '/' || x.route || '/' || x.key, 0)) AS held
          FROM ROWS FROM (jsonb_to_recordset(p_items) AS (customer bigint, route text, key text))
               WITH ORDINALITY AS x(customer, route, key, at)
         GROUP BY x.customer, x.route, x.key) k
     WHERE k.held;
    v_products := ARRAY(SELECT DISTINCT l.product
                          FROM jsonb_to_recordset(p_items) AS x(lines jsonb),
                               LATERAL jsonb_to_recordset(x.lines) AS l(product bigint));
    v_stores := ARRAY(SELECT DISTINCT store_id FROM products WHERE id = ANY (v_products));
    PERFORM 1 FROM products WHERE id = ANY (v_products) AND stock IS NOT NULL ORDER BY id FOR NO KEY UPDATE;

    WITH item AS MATERIALIZED (
        SELECT * FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
            id bigint, shard integer, customer bigint, route text, key text, lines jsonb, lat double precision,
            lon double precision, address text, payment text, notes text, trace text, pay_window_s integer))
            WITH ORDINALITY AS x(id, shard, customer, route, key, lines, lat, lon, address, payment, notes, trace,
                                 pay_window_s, at)
         -- A subquery for each key, so that no plan ever reads the whole table of them.
         WHERE x.at = ANY (v_mine)
           AND coalesce((SELECT d.expires_at <= v_now FROM idempotency d
                          WHERE d.principal_id = x.customer AND d.route = x.route
                            AND d.key_hash = decode(x.key, 'hex')), true)
    ), shelf AS MATERIALIZED (
        SELECT p.id, p.name, p.price_minor, p.currency, p.stock, p.active AND s.active AS active, s.id AS store_id,
               s.zone_id, s.preparation_s, s.lat, s.lon, s.delivery_radius_m
          FROM products p JOIN stores s ON s.id = p.store_id
         WHERE p.id = ANY (v_products) AND s.id = ANY (v_stores)
    ), line AS MATERIALIZED (
        SELECT i.at, l.number, l.quantity, f.*,
               f.delivery_radius_m IS NOT NULL
               AND metres_between(f.lat, f.lon, i.lat, i.lon) > f.delivery_radius_m AS far
          FROM item i CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(i.lines) AS (product bigint, quantity integer))
               WITH ORDINALITY AS l(product, quantity, number)
          LEFT JOIN shelf f ON f.id = l.product
    ), basket AS MATERIALIZED (
        SELECT at, sum(price_minor * quantity)::bigint AS total, max(preparation_s) AS preparation_s,
               min(store_id) FILTER (WHERE number = 1) AS store_id, min(currency) AS currency, min(zone_id) AS zone_id,
               -- No line is without a product, closed, in another currency or zone, or too far.
               count(*) = count(id) AND bool_and(active) AND min(currency) = max(currency)
               AND min(zone_id) = max(zone_id) AND NOT bool_or(far) AS plain
          FROM line GROUP BY at
    ), scarce AS MATERIALIZED (
        SELECT l.id FROM line l JOIN basket b USING (at) WHERE b.plain AND l.stock IS NOT NULL
         GROUP BY l.id HAVING sum(l.quantity) > min(l.stock)
    ), good AS MATERIALIZED (
        SELECT i.*, b.total, b.preparation_s, b.store_id, b.currency, b.zone_id
          FROM item i JOIN basket b USING (at)
         WHERE b.plain AND NOT i.at = ANY (ARRAY(SELECT l.at FROM line l JOIN scarce USING (id)))
    ), taken AS (
        UPDATE products p SET stock = p.stock - t.quantity
          FROM (SELECT l.id, sum(l.quantity) AS quantity FROM line l JOIN good g USING (at)
                 WHERE l.stock IS NOT NULL GROUP BY l.id) t
         WHERE p.id = t.id
    ), opened AS (
        INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, due_at, ready_at, created_at,
                            updated_at, dropoff_lat, dropoff_lon, address, payment, notes, total_minor, currency)
        SELECT g.id, g.shard, g.zone_id, g.store_id, g.customer,
               CASE g.payment WHEN 'cash' THEN 'confirmed' ELSE 'awaiting_payment' END,
               (SELECT z.mode FROM zones z WHERE z.id = g.zone_id),
               date_trunc('milliseconds', CASE g.payment WHEN 'cash' THEN v_now
                          ELSE v_now + make_interval(secs => g.pay_window_s) END),
               date_trunc('milliseconds', v_now + make_interval(secs => g.preparation_s)), v_at, v_at,
               g.lat, g.lon, g.address, g.payment, g.notes, g.total, g.currency
          FROM good g
    ), filled AS (
        INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor)
        SELECT g.id, l.number, l.id, l.name, l.quantity, l.price_minor FROM good g JOIN line l USING (at)
    ), told AS (
        INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)
        SELECT g.id, 1, 'created', 'customer', 'usr_' || g.customer, g.trace, v_at FROM good g
    )
    SELECT array_agg(g.at ORDER BY g.at), array_agg(g.id ORDER BY g.at) INTO v_made, v_ids FROM good g;

    -- Remember them under their keys, with the rows as they are now written.
    WITH made AS MATERIALIZED (
        SELECT m.at, x.customer, x.route, x.key, x.fingerprint, x.ttl_s,
               (SELECT to_jsonb(r) FROM order_rows r WHERE r.id = m.id) AS facts
          FROM unnest(v_made, v_ids) AS m(at, id)
          JOIN ROWS FROM (jsonb_to_recordset(p_items) AS (customer bigint, route text, key text, fingerprint text, ttl_s integer))
               WITH ORDINALITY AS x(customer, route, key, fingerprint, ttl_s, at) ON x.at = m.at
    ), kept AS (
        INSERT INTO idempotency (principal_id, route, key_hash, fingerprint, code, facts, created_at, expires_at)
        SELECT customer, route, decode(key, 'hex'), decode(fingerprint, 'hex'), 'created', facts, v_now,
               v_now + make_interval(secs => ttl_s) FROM made
        ON CONFLICT (principal_id, route, key_hash) DO UPDATE
           SET fingerprint = excluded.fingerprint, code = excluded.code, facts = excluded.facts,
               created_at = excluded.created_at, expires_at = excluded.expires_at
    )
    SELECT jsonb_agg(jsonb_build_object('code', 'created', 'facts', facts, 'replayed', false) ORDER BY at)
      INTO v_out FROM made;
    IF cardinality(v_made) = v_count THEN
        RETURN v_out;
    END IF;

    v_rest := ARRAY(SELECT n FROM generate_series(1, v_count) n WHERE NOT n = ANY (coalesce(v_made, '{}')) ORDER BY n);
    v_answers := create_orders_in_turn((SELECT jsonb_agg(p_items -> (n - 1)::integer ORDER BY n) FROM unnest(v_rest) n));
    RETURN (SELECT jsonb_agg(a.answer ORDER BY a.at) FROM (
        SELECT m.at, v_out -> (m.n - 1)::integer AS answer FROM unnest(v_made) WITH ORDINALITY AS m(at, n)
        UNION ALL
        SELECT r.at, v_answers -> (r.n - 1)::integer FROM unnest(v_rest) WITH ORDINALITY AS r(at, n)) a);
END
$$;
REVOKE ALL ON FUNCTION create_orders(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_orders(jsonb) TO mall_app;

-- What was planned while a table was new, and reading all of it was cheap, is kept until the table is analysed, a minute
-- or more in which thousands of orders come. Rows are always looked up by their numbers.
ALTER FUNCTION create_orders(jsonb) SET enable_seqscan = off;
-- Or every call plans anew, for 1 ms: estimates for lists make such a plan look much cheaper.
ALTER FUNCTION create_orders(jsonb) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION create_orders_in_turn(jsonb) SET enable_seqscan = off;
ALTER FUNCTION create_orders_in_turn(jsonb) SET enable_hashjoin = off;
ALTER FUNCTION create_orders_in_turn(jsonb) SET enable_mergejoin = off;
