-- What an order was placed with is stored with it: the stores that it is fetched from (several of one zone), their names
-- and places, the order's number at each, whom to ask for at the door, and what was taken from the stock.

-- A list of [store, name, lat, lon, number, [items by index from 0]], in the order of the items. The first store is
-- also orders.store_id. An order is rewritten five times on its way; this costs less than a table of its own.
ALTER TABLE orders ADD COLUMN pickups jsonb;
-- When the goods of each pick-up will be ready, in milliseconds; NULL with one pick-up, for which ready_at says it.
-- With several ready_at is the latest.
ALTER TABLE orders ADD COLUMN ready_each jsonb;
ALTER TABLE orders ADD COLUMN contact_name text CHECK (length(contact_name) BETWEEN 1 AND 80);
ALTER TABLE orders ADD COLUMN contact_phone text CHECK (length(contact_phone) BETWEEN 1 AND 30);
-- What left the stock for this line, and what of it has come back. 0 where the product never ran out at that time.
ALTER TABLE order_items ADD COLUMN taken integer NOT NULL DEFAULT 0 CHECK (taken >= 0);
ALTER TABLE order_items ADD COLUMN returned integer NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND taken);

-- Where a zone's stores are, days begin at midnight.
ALTER TABLE zones ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC'
    CHECK (timezone(time_zone, timestamp '2000-01-01') IS NOT NULL);

-- How many orders a store was given on a day: the last number. One counter for each store, so that the numbers of a
-- store have no gap; it is locked from its batch's one statement to the commit, as limited products are.
CREATE TABLE store_days (
    store_id bigint NOT NULL,
    day      date NOT NULL,
    last     integer NOT NULL CHECK (last > 0),
    PRIMARY KEY (store_id, day)
) WITH (fillfactor = 50);
GRANT SELECT ON store_days TO mall_app;

-- Orders of before: their products' stores, as they are now, numbered in the order in which they came.
WITH stop AS (
    SELECT i.order_id, p.store_id, min(i.line) AS first, jsonb_agg(i.line - 1 ORDER BY i.line) AS lines
      FROM order_items i JOIN products p ON p.id = i.product_id GROUP BY i.order_id, p.store_id
), numbered AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.store_id, (o.created_at AT TIME ZONE 'UTC')::date
                                   ORDER BY o.created_at, o.id) AS number
      FROM stop s JOIN orders o ON o.id = s.order_id
), route AS (
    SELECT n.order_id, jsonb_agg(jsonb_build_array(n.store_id, s.name, s.lat, s.lon, n.number, n.lines)
                                 ORDER BY n.first) AS pickups
      FROM numbered n JOIN stores s ON s.id = n.store_id GROUP BY n.order_id
)
UPDATE orders o SET pickups = r.pickups, contact_name = (SELECT u.name FROM users u WHERE u.id = o.customer_id)
  FROM route r WHERE r.order_id = o.id;
ALTER TABLE orders ALTER COLUMN pickups SET NOT NULL;
INSERT INTO store_days (store_id, day, last)
SELECT (p ->> 0)::bigint, (o.created_at AT TIME ZONE 'UTC')::date, max((p ->> 4)::integer)
  FROM orders o, jsonb_array_elements(o.pickups) p GROUP BY 1, 2;
-- They gave back what they had ordered of products that could run out.
UPDATE order_items i SET taken = i.quantity, returned = CASE WHEN o.status = 'cancelled' THEN i.quantity ELSE 0 END
  FROM orders o, products p WHERE o.id = i.order_id AND p.id = i.product_id AND p.stock IS NOT NULL;

-- An order as its actor reads it; times in milliseconds. create_orders answers with the same shape.
DROP VIEW order_rows;
CREATE VIEW order_rows AS
SELECT o.id, o.shard, o.zone_id, o.store_id, o.pickups, o.ready_each, o.customer_id, o.contact_name, o.contact_phone,
       o.status, o.version, o.driver_id, o.round, o.mode, o.search, o.recent, o.writer,
       o.dropoff_lat, o.dropoff_lon, o.address, o.payment, o.notes, o.total_minor, o.currency,
       (extract(epoch FROM o.created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM o.updated_at) * 1000)::bigint AS updated_ms,
       (extract(epoch FROM o.ready_at) * 1000)::bigint AS ready_ms,
       (extract(epoch FROM o.due_at) * 1000)::bigint AS due_ms,
       (SELECT jsonb_agg(jsonb_build_array(i.product_id, i.name, i.quantity, i.price_minor) ORDER BY i.line)
          FROM order_items i WHERE i.order_id = o.id) AS items
  FROM orders o;
GRANT SELECT ON order_rows TO mall_app;

-- Answers that are kept under keys, and entries of feeds, have got another form. What was answered is shown again in
-- the new one; feeds begin anew, so that drivers get a snapshot instead of old entries.
UPDATE idempotency k SET facts = k.facts - 'store_name' - 'pickup_lat' - 'pickup_lon'
           || jsonb_build_object('pickups', o.pickups, 'ready_each', NULL, 'contact_name', o.contact_name,
                                 'contact_phone', NULL)
  FROM orders o
 WHERE k.code = 'created' AND k.route <> 'POST /payments'
   AND o.id = CASE WHEN k.facts ->> 'id' ~ '^[0-9]{1,18}$' THEN (k.facts ->> 'id')::bigint END;
UPDATE cluster_meta SET feed_epoch = substr(md5(random()::text || clock_timestamp()::text), 1, 12);

-- Lists know an order by each of its stores: a row for each pick-up, the first of which stands for the order.
ALTER TABLE order_listing ADD COLUMN pickup smallint NOT NULL DEFAULT 1, ADD COLUMN number integer;
ALTER TABLE order_listing DROP CONSTRAINT order_listing_pkey, ADD PRIMARY KEY (id, pickup);
DROP INDEX order_listing_created, order_listing_customer, order_listing_zone;
INSERT INTO order_listing (id, created_at, customer_id, zone_id, store_id, pickup, number)
SELECT o.id, o.created_at, o.customer_id, o.zone_id, (p.part ->> 0)::bigint, p.at, (p.part ->> 4)::integer
  FROM orders o, jsonb_array_elements(o.pickups) WITH ORDINALITY p(part, at) ORDER BY o.created_at, o.id, p.at
    ON CONFLICT (id, pickup) DO UPDATE SET number = excluded.number;
ALTER TABLE order_listing ALTER COLUMN number SET NOT NULL;
CREATE INDEX order_listing_created ON order_listing (created_at, id) WHERE pickup = 1;
CREATE INDEX order_listing_customer ON order_listing (customer_id, created_at, id) WHERE pickup = 1;
CREATE INDEX order_listing_zone ON order_listing (zone_id, created_at, id) WHERE pickup = 1;
ANALYZE order_listing;
CREATE OR REPLACE FUNCTION list_orders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO order_listing (id, created_at, customer_id, zone_id, store_id, pickup, number)
    SELECT c.id, c.created_at, c.customer_id, c.zone_id, (p.part ->> 0)::bigint, p.at, (p.part ->> 4)::integer
      FROM changed c, jsonb_array_elements(c.pickups) WITH ORDINALITY p(part, at);
    RETURN NULL;
END
$$;

-- What a customer holds; create_orders() counts it.
CREATE INDEX orders_waiting ON orders (customer_id) WHERE status IN ('awaiting_payment', 'confirmed');

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

-- Customers whose orders are counted against a bound are served one after the other, over all instances: who wants to
-- pay by card, or something that can run out. Lock order: keys, products, customers, counters of stores.
CREATE FUNCTION lock_holders(p_items jsonb, p_limited bigint[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
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
REVOKE ALL ON FUNCTION held_by(bigint[]), lock_holders(jsonb, bigint[]) FROM PUBLIC;

-- The same as in 0009_geo.sql, but for several stores and their numbers, and for more codes: price_changed (the total is
-- not the one that was expected), too_many_unpaid and too_many_held (a bound of the customer).
-- Place a batch of orders; each whole or not at all. Codes: created, replayed, in_flight, key_reused, unknown_product,
-- inactive_product, mixed_currency, mixed_zones, out_of_range, price_changed, out_of_stock, too_many_unpaid,
-- too_many_held. What the domain decides (all but in_flight and key_reused) is remembered under the key, so a
-- repetition gets the same answer.
CREATE OR REPLACE FUNCTION create_orders_in_turn(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    it record; idem record; c record; z record; h record;
    v_now timestamptz := clock_timestamp();
    v_at timestamptz := date_trunc('milliseconds', v_now);
    v_ms bigint := (extract(epoch FROM v_at) * 1000)::bigint;
    v_limited bigint[];
    v_pickups jsonb; v_ready_each jsonb;
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
        expected_currency text, unpaid_max integer, held_max integer)
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
            v_code := 'created';
            SELECT mode, (v_at AT TIME ZONE time_zone)::date AS day INTO z FROM zones WHERE id = c.zone_id;
            WITH stop AS MATERIALIZED (
                SELECT s.id, s.name, s.lat, s.lon, s.preparation_s, min(l.line) AS first,
                       jsonb_agg(l.line - 1 ORDER BY l.line) AS lines
                  FROM ROWS FROM (jsonb_to_recordset(it.lines) AS (product bigint)) WITH ORDINALITY AS l(product, line)
                  JOIN products p ON p.id = l.product JOIN stores s ON s.id = p.store_id GROUP BY s.id
            ), counted AS (
                INSERT INTO store_days AS d (store_id, day, last) SELECT id, z.day, 1 FROM stop ORDER BY id
                ON CONFLICT (store_id, day) DO UPDATE SET last = d.last + 1 RETURNING store_id, last
            )
            SELECT jsonb_agg(jsonb_build_array(s.id, s.name, s.lat, s.lon, n.last, s.lines) ORDER BY s.first),
                   CASE WHEN count(*) > 1 THEN jsonb_agg(v_ms + 1000 * s.preparation_s ORDER BY s.first) END
              INTO v_pickups, v_ready_each
              FROM stop s JOIN counted n ON n.store_id = s.id;
            UPDATE products p SET stock = p.stock - l.quantity
              FROM jsonb_to_recordset(it.lines) AS l(product bigint, quantity integer)
             WHERE p.id = l.product AND p.stock IS NOT NULL;
            INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, due_at, ready_at,
                                created_at, updated_at, dropoff_lat, dropoff_lon, address, payment, notes,
                                total_minor, currency, pickups, ready_each, contact_name, contact_phone)
            VALUES (it.id, it.shard, c.zone_id, c.store_id, it.customer,
                    CASE WHEN it.payment = 'cash' OR c.total = 0 THEN 'confirmed' ELSE 'awaiting_payment' END, z.mode,
                    date_trunc('milliseconds', CASE WHEN it.payment = 'cash' OR c.total = 0 THEN v_now
                               ELSE v_now + make_interval(secs => it.pay_window_s) END),
                    date_trunc('milliseconds', v_now + make_interval(secs => c.preparation_s)),
                    date_trunc('milliseconds', v_now), date_trunc('milliseconds', v_now),
                    it.lat, it.lon, it.address, it.payment, it.notes, c.total, c.currency, v_pickups, v_ready_each,
                    coalesce(it.contact_name, (SELECT name FROM users WHERE id = it.customer)), it.contact_phone);
            INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor, taken)
            SELECT it.id, l.line, p.id, p.name, l.quantity, p.price_minor,
                   CASE WHEN p.stock IS NULL THEN 0 ELSE l.quantity END
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

-- The same as in 0010_creation.sql, for the same codes. Customers that come to a bound are served in turn.
CREATE OR REPLACE FUNCTION create_orders(p_items jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
            held_max integer))
            WITH ORDINALITY AS x(id, shard, customer, route, key, lines, lat, lon, address, payment, notes, trace,
                                 pay_window_s, contact_name, contact_phone, expected, expected_currency, unpaid_max,
                                 held_max, at)
         -- A subquery for each key, so that no plan ever reads the whole table of them.
         WHERE x.at = ANY (v_mine)
           AND coalesce((SELECT d.expires_at <= v_now FROM idempotency d
                          WHERE d.principal_id = x.customer AND d.route = x.route
                            AND d.key_hash = decode(x.key, 'hex')), true)
    ), shelf AS MATERIALIZED (
        SELECT p.id, p.name, p.price_minor, p.currency, p.stock, p.active AND s.active AS active, s.id AS store_id,
               s.name AS store_name, s.zone_id, s.preparation_s, s.lat, s.lon, s.delivery_radius_m
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
        SELECT i.*, b.total, b.preparation_s, b.store_id, b.currency, b.zone_id, z.mode,
               (v_at AT TIME ZONE z.time_zone)::date AS day
          FROM item i JOIN basket b USING (at) JOIN zones z ON z.id = b.zone_id
         WHERE b.plain AND NOT i.at = ANY (ARRAY(SELECT l.at FROM line l JOIN scarce USING (id)))
           AND NOT i.customer = ANY (ARRAY(SELECT customer FROM bound))
           AND coalesce(i.expected = b.total AND i.expected_currency = b.currency, true)
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
          FROM (SELECT l.id, sum(l.quantity) AS quantity FROM line l JOIN good g USING (at)
                 WHERE l.stock IS NOT NULL GROUP BY l.id) t
         WHERE p.id = t.id
    ), opened AS (
        INSERT INTO orders (id, shard, zone_id, store_id, customer_id, status, mode, due_at, ready_at, created_at,
                            updated_at, dropoff_lat, dropoff_lon, address, payment, notes, total_minor, currency,
                            pickups, ready_each, contact_name, contact_phone)
        SELECT g.id, g.shard, g.zone_id, g.store_id, g.customer,
               CASE WHEN g.payment = 'cash' OR g.total = 0 THEN 'confirmed' ELSE 'awaiting_payment' END,
               g.mode,
               date_trunc('milliseconds', CASE WHEN g.payment = 'cash' OR g.total = 0 THEN v_now
                          ELSE v_now + make_interval(secs => g.pay_window_s) END),
               date_trunc('milliseconds', v_now + make_interval(secs => g.preparation_s)), v_at, v_at,
               g.lat, g.lon, g.address, g.payment, g.notes, g.total, g.currency, r.pickups, r.ready_each,
               coalesce(g.contact_name, (SELECT u.name FROM users u WHERE u.id = g.customer)), g.contact_phone
          FROM good g JOIN route r USING (at)
    ), filled AS (
        INSERT INTO order_items (order_id, line, product_id, name, quantity, price_minor, taken)
        SELECT g.id, l.number, l.id, l.name, l.quantity, l.price_minor,
               CASE WHEN l.stock IS NULL THEN 0 ELSE l.quantity END
          FROM good g JOIN line l USING (at)
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

-- What 0010_creation.sql says about plans goes for these bodies, too.
ALTER FUNCTION create_orders(jsonb) SET enable_seqscan = off;
ALTER FUNCTION create_orders(jsonb) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION create_orders_in_turn(jsonb) SET enable_seqscan = off;
ALTER FUNCTION create_orders_in_turn(jsonb) SET enable_hashjoin = off;
ALTER FUNCTION create_orders_in_turn(jsonb) SET enable_mergejoin = off;

-- flush_orders() of 0019_reassignment.sql, whole, but for two things: what comes back is what was taken, once; and the
-- times of several pick-ups.
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
               updated_at = to_timestamp(n.at_ms / 1000.0), recent = n.recent, writer = n.writer,
               ready_each = n.ready_each
          FROM judged n WHERE n.fine AND o.id = n.id
    ), told AS (
        INSERT INTO order_events (order_id, version, type, actor_role, actor_id, reason, trace, at, data)
        SELECT id, version + 1, event, role, actor, reason, trace, to_timestamp(at_ms / 1000.0), data
          FROM judged WHERE fine
    ), back AS (
        UPDATE order_items l SET returned = l.taken
          FROM judged n WHERE n.fine AND n.restock AND l.order_id = n.id AND l.returned < l.taken
        RETURNING l.product_id, l.taken
    ), restocked AS (
        UPDATE products p SET stock = least(1000000000, p.stock + b.quantity)
          FROM (SELECT product_id, sum(taken)::integer AS quantity FROM back GROUP BY product_id) b
         WHERE p.id = b.product_id AND p.stock IS NOT NULL
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

-- creation_blockers() of 0013_blockers.sql, and the counters of stores: who needs one needs a product of its store.
CREATE OR REPLACE FUNCTION creation_blockers(p_products bigint[], p_customers bigint[])
RETURNS TABLE (key text, held text, pid integer, username text, application text, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_free bigint[];
BEGIN
    RETURN QUERY SELECT * FROM table_blockers(ARRAY['products', 'orders', 'order_items', 'order_events', 'order_listing',
                                                    'idempotency', 'store_days']);
    IF FOUND THEN
        RETURN;
    END IF;
    v_free := ARRAY(SELECT id FROM products WHERE id = ANY (p_products) FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'product ' || p.id, 'product ' || p.id, h.*
                   FROM products p CROSS JOIN LATERAL lock_holder(p.xmax) h
                  WHERE p.id = ANY (p_products) AND p.stock IS NOT NULL AND p.id <> ALL (v_free);
    v_free := ARRAY(SELECT id FROM users WHERE id = ANY (p_customers) FOR KEY SHARE SKIP LOCKED);
    RETURN QUERY SELECT 'customer ' || u.id, 'customer ' || u.id, h.*
                   FROM users u CROSS JOIN LATERAL lock_holder(u.xmax) h
                  WHERE u.id = ANY (p_customers) AND u.id <> ALL (v_free);
    -- Whatever the time zone, orders of now are counted in one of these days.
    PERFORM 1 FROM store_days WHERE store_id IN (SELECT store_id FROM products WHERE id = ANY (p_products))
       AND day > current_date - 2 FOR NO KEY UPDATE SKIP LOCKED;
    RETURN QUERY SELECT 'product ' || p.id, 'numbers of store ' || d.store_id, h.*
                   FROM products p JOIN store_days d ON d.store_id = p.store_id AND d.day > current_date - 2
                  CROSS JOIN LATERAL lock_holder(d.xmax) h
                  WHERE p.id = ANY (p_products) AND h.pid <> pg_backend_pid();
END
$$;
