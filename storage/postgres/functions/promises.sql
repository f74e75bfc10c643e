-- Promises: when a new order can be at the door. create_orders() gives each order two times, which stay:
--   expected_at   half of the deliveries of late were faster
--   promised_at   nine of ten were
-- Each is: the goods are ready, then the straight way at the zone's speed, then the rest that deliveries of late took
-- beyond these two (waiting for a driver, the driver's way to the store, stops before this one). The rest is learned.

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
