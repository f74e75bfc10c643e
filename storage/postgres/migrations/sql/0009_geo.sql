-- Places: how far stores deliver, and which are near.

-- Metres from the store, on the sphere, to where an order may go. NULL: anywhere. Stores of before know no limit.
ALTER TABLE stores ADD COLUMN delivery_radius_m integer CHECK (delivery_radius_m BETWEEN 1 AND 1000000);

-- Great-circle distance (haversine) on the sphere that PostGIS uses, so that every answer about distances agrees:
-- this one, dispatch/domain/geo.py and both bodies of stores_near().
CREATE FUNCTION metres_between(a_lat double precision, a_lon double precision, b_lat double precision, b_lon double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 2 * 6371008.7714150598 * asin(least(1, sqrt(
               power(sin(radians(b_lat - a_lat) / 2), 2)
               + cos(radians(a_lat)) * cos(radians(b_lat)) * power(sin(radians(b_lon - a_lon) / 2), 2))))
$$;

-- The active stores within so many metres of a place, the nearest first, of two equally near ones the older
-- (where a page ends between such two, either may be the one that is left out). choose_stores_near() puts a body in.
CREATE FUNCTION stores_near(p_lat double precision, p_lon double precision, p_radius_m double precision, p_limit integer)
RETURNS TABLE (id bigint, distance_m double precision) LANGUAGE sql STABLE AS $$ SELECT NULL::bigint, NULL::float8 $$;

-- Give stores_near() the best body there is, and say which: 'postgis' or 'box'. Runs at every start (migrate), so that
-- PostGIS is taken up when it appears and done without when it has gone. Needs the owner; mall_app may not.
-- p_postgis: false to do without it (tests, benchmarks).
CREATE FUNCTION choose_stores_near(p_postgis boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_home text;
    -- Raise the number when a body changes: the old one is replaced at the next start.
    v_wanted text := 'box 1';
BEGIN
    IF p_postgis THEN
        BEGIN
            IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis' AND installed_version IS NULL) THEN
                CREATE EXTENSION postgis;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- not permitted, or broken: the box does
        END;
        SELECT n.nspname INTO v_home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'postgis';
        IF v_home IS NOT NULL AND has_schema_privilege('mall_app', v_home, 'USAGE') THEN
            v_wanted := 'postgis 1';
        END IF;
    END IF;
    IF obj_description('stores_near(float8,float8,float8,integer)'::regprocedure, 'pg_proc') = v_wanted
       AND (v_wanted LIKE 'box%' OR to_regclass('stores_geography') IS NOT NULL) THEN
        RETURN split_part(v_wanted, ' ', 1);
    END IF;

    IF v_wanted = 'postgis 1' THEN
        -- On the sphere (false; and so does <->), as everything here measures. The index is on the globe: date line
        -- and poles are places like any other. The first query's order is by distance alone, and so the index yields
        -- a page of the nearest without looking at the rest: with the id in it the planner sorts all that are near
        -- (100,000 stores, 50 km: 27 ms instead of 0.3). But where places at 180 and -180 degrees coincide the index
        -- may find its own bounds wrong by a rounding, and gives up ("tuples in wrong order"): then the second
        -- query, which is right in any case. Both yield arrays, so that half an answer is none.
        -- ROWS: a page. Left to guess a thousand the planner reads all stores for the rest of their columns.
        EXECUTE format($body$
            CREATE INDEX IF NOT EXISTS stores_geography ON stores
             USING gist ((%1$I.ST_SetSRID(%1$I.ST_MakePoint(lon, lat), 4326)::%1$I.geography)) WHERE active;
            CREATE OR REPLACE FUNCTION stores_near(p_lat double precision, p_lon double precision,
                                                   p_radius_m double precision, p_limit integer)
            RETURNS TABLE (id bigint, distance_m double precision) LANGUAGE plpgsql STABLE ROWS 50 AS $near$
            DECLARE
                v_here %1$I.geography := %1$I.ST_SetSRID(%1$I.ST_MakePoint(p_lon, p_lat), 4326)::%1$I.geography;
                v_ids bigint[]; v_away double precision[];
            BEGIN
                BEGIN
                    SELECT array_agg(f.i ORDER BY f.m, f.i), array_agg(f.m ORDER BY f.m, f.i) INTO v_ids, v_away FROM (
                        SELECT s.id AS i, %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography
                                          OPERATOR(%1$I.<->) v_here AS m
                          FROM stores s
                         WHERE s.active AND %1$I.ST_DWithin(
                               %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography, v_here, p_radius_m, false)
                         ORDER BY %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography
                                  OPERATOR(%1$I.<->) v_here
                         LIMIT p_limit) f;
                EXCEPTION WHEN internal_error THEN
                    SELECT array_agg(f.i ORDER BY f.m, f.i), array_agg(f.m ORDER BY f.m, f.i) INTO v_ids, v_away FROM (
                        SELECT s.id AS i, %1$I.ST_Distance(
                               %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography, v_here, false) AS m
                          FROM stores s
                         WHERE s.active AND %1$I.ST_DWithin(
                               %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography, v_here, p_radius_m, false)
                         ORDER BY 2, 1 LIMIT p_limit) f;
                END;
                RETURN QUERY SELECT * FROM unnest(v_ids, v_away);
            END
            $near$ $body$, v_home);
        ANALYZE stores;
    ELSE
        DROP INDEX IF EXISTS stores_geography;
        -- Half the box, in degrees of latitude and of longitude; towards the poles a circle of so many metres spans
        -- all longitudes. A box that crosses the date line goes on at its other side.
        CREATE OR REPLACE FUNCTION stores_near(p_lat double precision, p_lon double precision,
                                               p_radius_m double precision, p_limit integer)
        RETURNS TABLE (id bigint, distance_m double precision) LANGUAGE sql STABLE AS $near$
            SELECT found.id, found.distance_m FROM (
                SELECT s.id, metres_between(p_lat, p_lon, s.lat, s.lon) AS distance_m
                  FROM (SELECT half.lat, CASE WHEN cos(radians(least(90, abs(p_lat) + half.lat))) < 0.01 THEN 180
                                              ELSE half.lat / cos(radians(least(90, abs(p_lat) + half.lat))) END AS lon
                          FROM (SELECT degrees(p_radius_m / 6371008.7714150598) + 1e-9 AS lat) half) box,
                       stores s
                 WHERE s.active AND s.lat BETWEEN p_lat - box.lat AND p_lat + box.lat
                   AND (s.lon BETWEEN p_lon - box.lon AND p_lon + box.lon
                        OR s.lon BETWEEN p_lon - box.lon + 360 AND p_lon + box.lon + 360
                        OR s.lon BETWEEN p_lon - box.lon - 360 AND p_lon + box.lon - 360)) found
             WHERE found.distance_m <= p_radius_m ORDER BY found.distance_m, found.id LIMIT p_limit
        $near$;
    END IF;
    EXECUTE format('COMMENT ON FUNCTION stores_near(float8, float8, float8, integer) IS %L', v_wanted);
    RETURN split_part(v_wanted, ' ', 1);
END
$$;
REVOKE ALL ON FUNCTION choose_stores_near(boolean) FROM PUBLIC;
SELECT choose_stores_near(false);

-- The same as in 0004_batches.sql, but for one more code, out_of_range: the drop-off is farther from a line's store
-- than that delivers. (New: `far` and what follows from it.)
-- Place a batch of orders; each whole or not at all. Codes: created, replayed, in_flight, key_reused,
-- unknown_product, inactive_product, mixed_currency, mixed_zones, out_of_range, out_of_stock. What the domain
-- decides (all but in_flight and key_reused) is remembered under the key, so a repetition gets the same answer.
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
        ELSIF c.currencies > 1 THEN
            v_code := 'mixed_currency';
        ELSIF c.zones > 1 THEN
            v_code := 'mixed_zones';
        ELSIF c.far THEN
            v_code := 'out_of_range';
            SELECT jsonb_build_object('distance_m', ceil(max(away.m))::bigint, 'radius_m', min(s.delivery_radius_m))
              INTO v_facts
              FROM jsonb_to_recordset(it.lines) AS l(product bigint)
              JOIN products p ON p.id = l.product JOIN stores s ON s.id = p.store_id,
                   LATERAL (SELECT metres_between(s.lat, s.lon, it.lat, it.lon) AS m) away
             WHERE away.m > s.delivery_radius_m;
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
