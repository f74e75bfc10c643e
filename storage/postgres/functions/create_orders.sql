-- Placing orders: one call for all that wait. It is the only way to insert an order.
--
-- Promises: an order is placed whole or not at all, and an answer that was lost may be asked for again under its key
-- (2); a stock never falls below zero, and numbers of a store have no gap.
--
-- Lock order: keys (tried, never waited for), limited products by id, customers with bounds, counters of stores.

-- Places a batch of orders. Returns a list of {code, facts, replayed}, in the order of the items. Codes:
--   created
--   in_flight       another call is at work under this key
--   key_reused      the key was used with another body
--   unknown_product, inactive_product, mixed_currency, mixed_zones, out_of_stock     `facts` names the lines
--   out_of_range    the drop-off is farther from a store than that delivers
--   price_changed   the total is not the one that was expected
--   too_many_unpaid, too_many_held     a bound of the customer
-- What is decided (all but in_flight and key_reused) is kept under the key, and a repetition gets it with `replayed`.
--
-- A plain batch is decided and written by two statements for all of it. The rest goes one by one through
-- create_orders_in_turn(): batches of fewer than four; requests under a key that is in use, stands in the batch twice
-- or was used before; requests that are refused; customers who come to a bound; and all requests for a product of
-- which there is not enough for everybody, because then it matters who came first.
--
-- The first statement:
--   item       requests whose key is ours and new
--   shelf      the products that anybody wants, with their stores
--   line       each line of each request beside its product; `far`: too far from the store
--   basket     each request summed up; `plain`: nothing speaks against it but the stock and the customer's bounds
--   scarce     products of which there is not enough for all plain requests
--   bound      customers who may come to hold too much, all their requests together
--   good       the requests that are placed here
--   stop, counted, route   their stores, each with the order's number there (store_days)
--   taken, opened, filled, told, outboxed   stock, orders, items, history, outbox
--   crossed    a row of the outbox for each order that made a stock low or used it up
-- The second one keeps the answers under their keys, with the rows as the first one has written them.
--
-- Settings of its plans. No sequential scans: a plan that was made while a table was empty, when reading all of it was
-- cheap, is kept until the table is analysed, thousands of orders later. Generic plans: estimates for lists make a plan
-- for each call look cheaper than it is, and every call would plan anew.
CREATE FUNCTION create_orders(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_at timestamptz := date_trunc('milliseconds', v_now);
    v_ms bigint := (extract(epoch FROM v_at) * 1000)::bigint;
    v_limited bigint[];
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
    v_limited := ARRAY(SELECT id FROM products WHERE id = ANY (v_products) AND stock IS NOT NULL
                        ORDER BY id FOR NO KEY UPDATE);
    PERFORM lock_holders(p_items, v_limited);

    WITH item AS MATERIALIZED (
        SELECT * FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
            id bigint, shard integer, customer bigint, route text, key text, lines jsonb, lat double precision,
            lon double precision, address text, payment text, notes text, trace text, pay_window_s integer,
            contact_name text, contact_phone text, expected bigint, expected_currency text, unpaid_max integer,
            held_max integer, low_stock integer, wish jsonb))
            WITH ORDINALITY AS x(id, shard, customer, route, key, lines, lat, lon, address, payment, notes, trace,
                                 pay_window_s, contact_name, contact_phone, expected, expected_currency, unpaid_max,
                                 held_max, low_stock, wish, at)
         -- A subquery for each key, so that no plan ever reads the whole table of them.
         WHERE x.at = ANY (v_mine)
           AND coalesce((SELECT d.expires_at <= v_now FROM idempotency d
                          WHERE d.principal_id = x.customer AND d.route = x.route
                            AND d.key_hash = decode(x.key, 'hex')), true)
    ), shelf AS MATERIALIZED (
        SELECT p.id, p.name, p.price_minor, p.currency, p.stock, p.active AND s.active AS active, s.id AS store_id,
               s.name AS store_name, s.zone_id, s.lat, s.lon, s.delivery_radius_m,
               CASE WHEN s.preparation_learned THEN learned_preparation_s(s.zone_id, s.id, v_at, s.preparation_s)
                    ELSE s.preparation_s END AS preparation_s
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
               min(store_id) FILTER (WHERE number = 1) AS store_id, min(lat) FILTER (WHERE number = 1) AS store_lat,
               min(lon) FILTER (WHERE number = 1) AS store_lon, min(currency) AS currency, min(zone_id) AS zone_id,
               coalesce(sum(quantity) FILTER (WHERE stock IS NOT NULL), 0) AS pieces,
               -- No line is without a product, closed, in another currency or zone, or too far.
               count(*) = count(id) AND bool_and(active) AND min(currency) = max(currency)
               AND min(zone_id) = max(zone_id) AND NOT bool_or(far) AS plain
          FROM line GROUP BY at
    ), scarce AS MATERIALIZED (
        SELECT l.id FROM line l JOIN basket b USING (at) WHERE b.plain AND l.stock IS NOT NULL
         GROUP BY l.id HAVING sum(l.quantity) > min(l.stock)
    ), bound AS MATERIALIZED (
        -- Customers who may come to hold too much, all their orders together.
        SELECT w.customer
          FROM (SELECT i.customer, count(*) FILTER (WHERE i.payment = 'card') AS unpaid, sum(b.pieces) AS pieces,
                       min(i.unpaid_max) AS unpaid_max, min(i.held_max) AS held_max
                  FROM item i JOIN basket b USING (at) WHERE i.payment = 'card' OR b.pieces > 0
                 GROUP BY i.customer) w
          LEFT JOIN LATERAL held_by(ARRAY[w.customer]) h ON true
         WHERE coalesce(h.unpaid, 0) + w.unpaid > w.unpaid_max OR coalesce(h.pieces, 0) + w.pieces > w.held_max
    ), good AS MATERIALIZED (
        SELECT i.*, w.total, z.delivery_rules, b.preparation_s, b.store_id, b.currency, b.zone_id, z.mode, z.driver_pay_minor,
               (v_at AT TIME ZONE z.time_zone)::date AS day,
               b.preparation_s + way_s(z.planning, metres_between(b.store_lat, b.store_lon, i.lat, i.lon)) AS there_s,
               coalesce(t.likely_s, 900 / coalesce((z.planning ->> 'time_scale')::double precision, 1)) AS likely_s,
               coalesce(t.late_s, 1800 / coalesce((z.planning ->> 'time_scale')::double precision, 1)) AS late_s
          FROM item i JOIN basket b USING (at) JOIN zones z ON z.id = b.zone_id
         CROSS JOIN LATERAL (SELECT b.total + coalesce((i.wish ->> 'tip_minor')::bigint, 0) AS total) w
          LEFT JOIN delivery_times t ON t.zone_id = z.id
         WHERE b.plain AND NOT i.at = ANY (ARRAY(SELECT l.at FROM line l JOIN scarce USING (id)))
           AND NOT i.customer = ANY (ARRAY(SELECT customer FROM bound))
           AND coalesce(i.expected = w.total AND i.expected_currency = b.currency, true)
           AND i.wish ->> 'deliver_ms' IS NULL
    ), stop AS MATERIALIZED (
        -- The stores of each order, each with its number there.
        SELECT l.at, l.store_id, g.day, min(l.number) AS first, min(l.store_name) AS name, min(l.lat) AS lat,
               min(l.lon) AS lon, min(l.preparation_s) AS preparation_s, jsonb_agg(l.number - 1 ORDER BY l.number) AS lines
          FROM good g JOIN line l USING (at) GROUP BY l.at, l.store_id, g.day
    ), counted AS (
        INSERT INTO store_days AS d (store_id, day, last)
        SELECT s.store_id, s.day, count(*) FROM stop s GROUP BY s.store_id, s.day ORDER BY s.store_id
        ON CONFLICT (store_id, day) DO UPDATE SET last = d.last + excluded.last
        RETURNING store_id, last
    ), route AS MATERIALIZED (
        SELECT n.at, jsonb_agg(jsonb_build_array(n.store_id, n.name, n.lat, n.lon, n.number, n.lines)
                               ORDER BY n.first) AS pickups,
               CASE WHEN count(*) > 1 THEN jsonb_agg(v_ms + 1000 * n.preparation_s ORDER BY n.first) END AS ready_each
          FROM (SELECT s.*, c.last - count(*) OVER (PARTITION BY s.store_id)
                            + row_number() OVER (PARTITION BY s.store_id ORDER BY s.at) AS number
                  FROM stop s JOIN counted c USING (store_id)) n
         GROUP BY n.at
    ), taken AS (
        UPDATE products p SET stock = p.stock - t.quantity
          FROM (SELECT l.id, sum(l.quantity) AS quantity, max(g.low_stock) AS low FROM line l JOIN good g USING (at)
                 WHERE l.stock IS NOT NULL GROUP BY l.id) t
         WHERE p.id = t.id
        RETURNING p.id, p.stock + t.quantity AS before, p.stock AS after, coalesce(p.low_stock, t.low, 0) AS low
    ), crossed AS (
        INSERT INTO outbox (topic, ref, version, trace, data)
        SELECT 'stock', s.id, 0, s.trace, jsonb_build_object('event', e.event, 'stock', s.after, 'limit', s.low)
          FROM (SELECT t.id, t.low, l.quantity, g.trace, g.at,
                       t.before - sum(l.quantity) OVER (PARTITION BY t.id ORDER BY g.at) AS after
                  FROM taken t JOIN line l USING (id) JOIN good g USING (at)
                 WHERE t.after = 0 OR (t.before > t.low AND t.after <= t.low)) s
         CROSS JOIN LATERAL stock_events(s.after + s.quantity, s.after, s.low) e
         ORDER BY s.at, s.id
    ), opened AS (
        INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, due_at, ready_at, created_at,
                            updated_at, dropoff_lat, dropoff_lon, address, payment, notes, total_minor, currency,
                            pickups, ready_each, contact_name, contact_phone, driver_pay_minor,
                            expected_at, promised_at, terms)
        SELECT g.id, g.shard, g.zone_id, g.store_id, g.customer,
               CASE WHEN g.payment = 'cash' OR g.total = 0 THEN 'confirmed' ELSE 'awaiting_payment' END,
               g.mode,
               date_trunc('milliseconds', CASE WHEN g.payment = 'cash' OR g.total = 0 THEN v_now
                          ELSE v_now + make_interval(secs => g.pay_window_s) END),
               date_trunc('milliseconds', v_now + make_interval(secs => g.preparation_s)), v_at, v_at,
               g.lat, g.lon, g.address, g.payment, g.notes, g.total, g.currency, r.pickups, r.ready_each,
               coalesce(g.contact_name, (SELECT u.name FROM users u WHERE u.id = g.customer)), g.contact_phone, g.driver_pay_minor,
               date_trunc('milliseconds', v_now + make_interval(secs => g.there_s + g.likely_s)),
               date_trunc('milliseconds', v_now + make_interval(secs => g.there_s + g.late_s)),
               CASE WHEN g.wish IS NOT NULL OR g.delivery_rules IS NOT NULL THEN order_terms(g.wish, g.delivery_rules) END
          FROM good g JOIN route r USING (at)
    ), filled AS (
        INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor, taken)
        SELECT g.id, l.number, l.id, l.name, l.quantity, l.price_minor,
               CASE WHEN l.stock IS NULL THEN 0 ELSE l.quantity END
          FROM good g JOIN line l USING (at)
    ), told AS (
        INSERT INTO order_events (order_id, version, type, actor_role, actor_id, trace, at)
        SELECT g.id, 1, 'created', 'customer', 'usr_' || g.customer, g.trace, v_at FROM good g
    ), outboxed AS (
        INSERT INTO outbox (topic, ref, version) SELECT 'order', g.id, 1 FROM good g
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
REVOKE ALL ON FUNCTION create_orders FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_orders TO mall_app;

-- What customers hold: card orders that wait for their payment, and pieces that were taken from a stock for these and
-- for cash orders that no driver has taken yet.
CREATE FUNCTION held_by(p_customers bigint[]) RETURNS TABLE (customer bigint, unpaid bigint, pieces bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.customer_id, count(*) FILTER (WHERE o.status = 'awaiting_payment'),
           coalesce(sum((SELECT sum(i.taken - i.returned) FROM order_items i WHERE i.order_id = o.id)), 0)::bigint
      FROM orders o
     WHERE o.customer_id = ANY (p_customers) AND o.status IN ('awaiting_payment', 'confirmed')
       AND (o.status = 'awaiting_payment' OR o.payment = 'cash') GROUP BY o.customer_id
$$;
REVOKE ALL ON FUNCTION held_by FROM PUBLIC;

-- Serves customers one after the other, over all instances, where their orders count against a bound: those who want
-- to pay by card, or want something that can run out. Without it two calls would both find room for one order.
CREATE FUNCTION lock_holders(p_items jsonb, p_limited bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF cardinality(p_limited) = 0 AND NOT p_items @> '[{"payment": "card"}]' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(h.hash) FROM (
        SELECT DISTINCT hashtextextended('customer/' || x.customer, 0) AS hash
          FROM jsonb_to_recordset(p_items) AS x(customer bigint, payment text, lines jsonb)
         WHERE x.payment = 'card' OR EXISTS (
               SELECT FROM jsonb_to_recordset(x.lines) AS l(product bigint) WHERE l.product = ANY (p_limited))
         ORDER BY 1) h;
END
$$;
REVOKE ALL ON FUNCTION lock_holders FROM PUBLIC;
