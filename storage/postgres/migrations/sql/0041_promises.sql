-- Promises: an order keeps when it is expected at the door and when it is promised, as reckoned at placing.
ALTER TABLE orders ADD COLUMN expected_at timestamptz, ADD COLUMN promised_at timestamptz;
CREATE TABLE delivery_times (
    zone_id    bigint PRIMARY KEY REFERENCES zones (id),
    likely_s   double precision NOT NULL CHECK (likely_s BETWEEN 0 AND 86400),
    late_s     double precision NOT NULL CHECK (late_s BETWEEN likely_s AND 86400),
    orders     integer NOT NULL,
    updated_at timestamptz NOT NULL
);
GRANT SELECT ON delivery_times TO mall_app;

CREATE OR REPLACE VIEW order_rows AS
SELECT o.id, o.shard, o.zone_id, o.store_id, o.pickups, o.ready_each, o.customer_id, o.contact_name, o.contact_phone,
       o.status, o.version, o.driver_id, o.round, o.mode, o.search, o.recent, o.writer,
       o.dropoff_lat, o.dropoff_lon, o.address, o.payment, o.notes, o.total_minor, o.currency,
       (extract(epoch FROM o.created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM o.updated_at) * 1000)::bigint AS updated_ms,
       (extract(epoch FROM o.ready_at) * 1000)::bigint AS ready_ms,
       (extract(epoch FROM o.due_at) * 1000)::bigint AS due_ms,
       (SELECT jsonb_agg(jsonb_build_array(i.product_id, i.name, i.quantity, i.price_minor) ORDER BY i.line)
          FROM order_items i WHERE i.order_id = o.id) AS items,
       o.driver_pay_minor,
       (extract(epoch FROM o.expected_at) * 1000)::bigint AS expected_ms,
       (extract(epoch FROM o.promised_at) * 1000)::bigint AS promised_ms
  FROM orders o;

-- Seconds of the way over a straight distance, as the zone's planner reckons it (dispatch/zone_plan.py).
CREATE FUNCTION way_s(p_planning jsonb, p_straight_m double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_straight_m * coalesce((p_planning ->> 'street_factor')::double precision, 1.3)
           / coalesce((p_planning ->> 'speed_m_per_s')::double precision, 5)
           / coalesce((p_planning ->> 'time_scale')::double precision, 1)
$$;

-- Learns the rest for each zone from its newest deliveries; a zone with few of them keeps what create_orders() assumes.
-- Returns the number of zones.
CREATE FUNCTION learn_delivery_times() RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_count integer;
BEGIN
    INSERT INTO delivery_times AS t (zone_id, likely_s, late_s, orders, updated_at)
    SELECT z.id, percentile_cont(0.5) WITHIN GROUP (ORDER BY d.rest_s),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY d.rest_s), count(*), now()
      FROM zones z
     CROSS JOIN LATERAL (
           SELECT least(86400, greatest(0, extract(epoch FROM e.at - o.ready_at)::double precision
                  - way_s(z.planning, metres_between((o.pickups -> 0 ->> 2)::double precision,
                                                     (o.pickups -> 0 ->> 3)::double precision,
                                                     o.dropoff_lat, o.dropoff_lon)))) AS rest_s
             FROM (SELECT l.id FROM order_listing l
                    WHERE l.zone_id = z.id AND l.pickup = 1 AND l.created_at > now() - interval '28 days'
                    ORDER BY l.created_at DESC, l.id DESC LIMIT 500) l
             JOIN orders o ON o.id = l.id AND o.status = 'delivered'
            CROSS JOIN LATERAL (SELECT h.at FROM order_events h WHERE h.order_id = o.id AND h.type = 'delivered'
                                 ORDER BY h.version LIMIT 1) e) d
     GROUP BY z.id HAVING count(*) >= 20
    ON CONFLICT (zone_id) DO UPDATE
       SET likely_s = excluded.likely_s, late_s = excluded.late_s, orders = excluded.orders, updated_at = excluded.updated_at;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$$;
REVOKE ALL ON FUNCTION learn_delivery_times FROM PUBLIC;
GRANT EXECUTE ON FUNCTION learn_delivery_times TO mall_app;

-- The two functions that place orders, as they are, but for these columns: each change must find its place once.
DO $$
DECLARE
    v_change text[]; v_text text;
BEGIN
    FOREACH v_change SLICE 1 IN ARRAY ARRAY[
        ['create_orders_in_turn(jsonb)',
         'SELECT mode, driver_pay_minor, (v_at AT TIME ZONE time_zone)::date AS day INTO z FROM zones WHERE id = c.zone_id;',
         'SELECT o.mode, o.driver_pay_minor, (v_at AT TIME ZONE o.time_zone)::date AS day,
                   c.preparation_s + way_s(o.planning, metres_between(s.lat, s.lon, it.lat, it.lon)) AS there_s,
                   coalesce(t.likely_s, 900 / coalesce((o.planning ->> ''time_scale'')::double precision, 1)) AS likely_s,
                   coalesce(t.late_s, 1800 / coalesce((o.planning ->> ''time_scale'')::double precision, 1)) AS late_s
              INTO z
              FROM zones o JOIN stores s ON s.id = c.store_id LEFT JOIN delivery_times t ON t.zone_id = o.id
             WHERE o.id = c.zone_id;'],
        ['create_orders_in_turn(jsonb)',
         'contact_name, contact_phone, driver_pay_minor)',
         'contact_name, contact_phone, driver_pay_minor,
                                expected_at, promised_at)'],
        ['create_orders_in_turn(jsonb)',
         'it.contact_phone, z.driver_pay_minor);',
         'it.contact_phone, z.driver_pay_minor,
                    date_trunc(''milliseconds'', v_now + make_interval(secs => z.there_s + z.likely_s)),
                    date_trunc(''milliseconds'', v_now + make_interval(secs => z.there_s + z.late_s)));'],
        ['create_orders(jsonb)',
         '               min(store_id) FILTER (WHERE number = 1) AS store_id,',
         '               min(store_id) FILTER (WHERE number = 1) AS store_id, min(lat) FILTER (WHERE number = 1) AS store_lat,
               min(lon) FILTER (WHERE number = 1) AS store_lon,'],
        ['create_orders(jsonb)',
         'z.driver_pay_minor,
               (v_at AT TIME ZONE z.time_zone)::date AS day
          FROM item i JOIN basket b USING (at) JOIN zones z ON z.id = b.zone_id',
         'z.driver_pay_minor,
               (v_at AT TIME ZONE z.time_zone)::date AS day,
               b.preparation_s + way_s(z.planning, metres_between(b.store_lat, b.store_lon, i.lat, i.lon)) AS there_s,
               coalesce(t.likely_s, 900 / coalesce((z.planning ->> ''time_scale'')::double precision, 1)) AS likely_s,
               coalesce(t.late_s, 1800 / coalesce((z.planning ->> ''time_scale'')::double precision, 1)) AS late_s
          FROM item i JOIN basket b USING (at) JOIN zones z ON z.id = b.zone_id
          LEFT JOIN delivery_times t ON t.zone_id = z.id'],
        ['create_orders(jsonb)',
         'contact_name, contact_phone, driver_pay_minor)',
         'contact_name, contact_phone, driver_pay_minor,
                            expected_at, promised_at)'],
        ['create_orders(jsonb)',
         'g.contact_phone, g.driver_pay_minor
',
         'g.contact_phone, g.driver_pay_minor,
               date_trunc(''milliseconds'', v_now + make_interval(secs => g.there_s + g.likely_s)),
               date_trunc(''milliseconds'', v_now + make_interval(secs => g.there_s + g.late_s))
']]
    LOOP
        v_text := pg_get_functiondef(v_change[1]::regprocedure);
        IF length(v_text) - length(replace(v_text, v_change[2], '')) <> length(v_change[2]) THEN
            RAISE EXCEPTION '% has not "%" once', v_change[1], v_change[2];
        END IF;
        EXECUTE replace(v_text, v_change[2], v_change[3]);
    END LOOP;
END
$$;
