-- What is learned from deliveries: how long stores prepare, and how fast drivers are. README.md of dispatch/reports says
-- what is measured and why.

-- Seconds that a store prepares a new order, as learned: for this hour of the zone's day, else for all hours, else those
-- of all stores of the zone, else p_usual.
CREATE FUNCTION learned_preparation_s(p_zone bigint, p_store bigint, p_at timestamptz, p_usual integer) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((
        SELECT round(t.likely_s)::integer FROM preparation_times t
         WHERE t.zone_id = p_zone AND t.store_id IN (p_store, 0) AND t.likely_s IS NOT NULL
           AND t.hour IN (-1, (SELECT extract(hour FROM p_at AT TIME ZONE z.time_zone)::smallint FROM zones z WHERE z.id = p_zone))
         ORDER BY t.store_id DESC, t.hour DESC LIMIT 1), p_usual);
END
$$;
REVOKE ALL ON FUNCTION learned_preparation_s FROM PUBLIC;

-- Learns from the deliveries since the last time, the newest p_limit of them. Returns how many they were. Of each group the
-- newest p_window values are kept, and what is told of it moves half of the way to their quantile.
--
--   done       the deliveries by the driver who picked up
--   known      with the driver's last other stop before the pick-up (`came`) and before the delivery (`left`), and with
--              how far away the driver was when it was asked
--   timed      with the earliest time at which the driver can have been at the store
--   prepared   seconds from placing until the goods were ready, where something tells; orders for later tell nothing
--   driven     metres and seconds of one way, of at least 200 m
CREATE FUNCTION learn_from_deliveries(p_limit integer, p_window integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_from timestamptz; v_to timestamptz := now() - interval '30 seconds';
    v_count integer;
BEGIN
    SELECT greatest(c.until, now() - interval '28 days') INTO v_from FROM learning_cursor c FOR UPDATE;
    IF v_from >= v_to THEN
        RETURN 0;
    END IF;
    WITH done AS MATERIALIZED (
        SELECT o.id, o.zone_id, o.store_id, o.driver_id, o.created_at, o.ready_at, a.at AS assigned_at,
               p.at AS picked_at, d.at AS delivered_at, jsonb_array_length(o.pickups) AS stores,
               (o.pickups -> 0 ->> 2)::double precision AS lat, (o.pickups -> 0 ->> 3)::double precision AS lon,
               o.dropoff_lat, o.dropoff_lon, s.*, a.away_m, o.terms ->> 'deliver_ms' IS NOT NULL AS scheduled,
               EXISTS (SELECT FROM order_events h WHERE h.order_id = o.id AND h.type = 'ready_time_set') AS said
          FROM (SELECT h.order_id, h.at FROM order_events h
                 WHERE h.type = 'delivered' AND h.at > v_from AND h.at <= v_to ORDER BY h.at DESC LIMIT p_limit) d
          JOIN orders o ON o.id = d.order_id AND o.status = 'delivered' AND o.driver_id IS NOT NULL
          JOIN zones z ON z.id = o.zone_id
         CROSS JOIN LATERAL (SELECT h.at, h.version FROM order_events h
                WHERE h.order_id = o.id AND h.type = 'picked_up' AND h.actor_role = 'driver'
                ORDER BY h.version DESC LIMIT 1) p
         CROSS JOIN LATERAL (
               -- The distance is in the assignment, or in the offer that led to it.
               SELECT h.at, nullif(coalesce((h.data -> 'distances_m' ->> 0)::double precision, f.away_m), -1) AS away_m
                 FROM order_events h
                 LEFT JOIN LATERAL (
                      SELECT (g.data -> 'distances_m' ->> (x.at - 1)::integer)::double precision AS away_m
                        FROM order_events g CROSS JOIN LATERAL jsonb_array_elements(g.data -> 'drivers')
                             WITH ORDINALITY AS x(driver, at)
                       WHERE g.order_id = o.id AND g.type = 'offered' AND g.version < h.version
                         AND x.driver = to_jsonb(o.driver_id)
                       ORDER BY g.version DESC LIMIT 1) f ON true
                WHERE h.order_id = o.id AND h.type = 'assigned' AND h.version < p.version
                ORDER BY h.version DESC LIMIT 1) a
         CROSS JOIN LATERAL (
               SELECT z.time_zone, coalesce((z.planning ->> 'time_scale')::double precision, 1) AS scale,
                      coalesce((z.planning ->> 'street_factor')::double precision, 1.3) AS street,
                      coalesce((z.planning ->> 'speed_m_per_s')::double precision, 5) AS speed,
                      coalesce((z.planning ->> 'pickup_s')::double precision, 120) AS pickup_s,
                      coalesce((z.planning ->> 'dropoff_s')::double precision, 120) AS dropoff_s) s
         WHERE NOT EXISTS (SELECT FROM order_events h WHERE h.order_id = o.id AND h.type = 'handed_over')
    ), known AS MATERIALIZED (
        SELECT d.*, c.at AS came_at, CASE WHEN c.at IS NOT NULL THEN metres_between(c.lat, c.lon, d.lat, d.lon) END AS came_m,
               CASE WHEN c.type = 'delivered' THEN d.dropoff_s / 2 ELSE 0 END AS came_s,
               coalesce(l.at, d.picked_at) AS left_at,
               metres_between(coalesce(l.lat, d.lat), coalesce(l.lon, d.lon), d.dropoff_lat, d.dropoff_lon) AS left_m,
               CASE WHEN l.type = 'delivered' THEN d.dropoff_s ELSE d.pickup_s END AS left_s,
               coalesce(v.speed_m_per_s, d.speed) AS usual_speed
          FROM done d
          LEFT JOIN LATERAL last_stop(d.driver_id, d.id, d.assigned_at, d.picked_at) c ON true
          LEFT JOIN LATERAL last_stop(d.driver_id, d.id, d.picked_at, d.delivered_at) l ON true
          LEFT JOIN driver_speeds v ON v.zone_id = d.zone_id AND v.hour = -1
    ), timed AS MATERIALIZED (
        SELECT k.*, greatest(k.assigned_at, k.came_at)
                    + make_interval(secs => (coalesce(k.came_m, k.away_m) * k.street / k.usual_speed
                                             + k.came_s + k.pickup_s / 2 + 60) / k.scale) AS there_at
          FROM known k
    ), prepared AS MATERIALIZED (
        SELECT t.zone_id, t.store_id, t.picked_at AS at,
               extract(hour FROM t.created_at AT TIME ZONE t.time_zone)::smallint AS hour,
               least(14400, greatest(0, extract(epoch FROM CASE
                   -- The store has said so, or the goods were handed out before.
                   WHEN t.said THEN least(t.ready_at, t.picked_at)
                   -- The driver waited, or had not to wait for as long as was assumed.
                   WHEN t.picked_at > t.there_at OR t.picked_at < t.ready_at THEN t.picked_at
                   ELSE t.ready_at END - t.created_at)::double precision)) AS took_s
          FROM timed t WHERE t.stores = 1 AND NOT t.scheduled AND (t.said OR t.there_at IS NOT NULL)
    ), driven AS MATERIALIZED (
        SELECT t.zone_id, t.delivered_at AS at,
               extract(hour FROM t.delivered_at AT TIME ZONE t.time_zone)::smallint AS hour,
               least(100, t.left_m * t.street / greatest(r.took_s / 5, r.took_s - t.left_s / 2 - t.dropoff_s / 2)) AS speed
          FROM timed t CROSS JOIN LATERAL (
               SELECT extract(epoch FROM t.delivered_at - t.left_at)::double precision * t.scale AS took_s) r
         WHERE t.left_m >= 200 AND r.took_s > 0
    ), stores AS (
        INSERT INTO preparation_times AS t (zone_id, store_id, hour, likely_s, late_s, newest_s, updated_at)
        SELECT n.zone_id, n.store_id, n.hour, coalesce((n.was_likely_s + q.likely_s) / 2, q.likely_s),
               coalesce((n.was_late_s + q.late_s) / 2, q.late_s), n.newest, now()
          FROM (SELECT g.*, (g.fresh || coalesce(w.newest_s, '{}'))[1:p_window] AS newest, w.likely_s AS was_likely_s,
                       w.late_s AS was_late_s
                  FROM (SELECT p.zone_id, k.store_id, k.hour, array_agg(p.took_s::real ORDER BY p.at DESC) AS fresh
                          FROM prepared p CROSS JOIN LATERAL (
                               VALUES (p.store_id, p.hour), (p.store_id, -1::smallint), (0, -1)) AS k(store_id, hour)
                         GROUP BY p.zone_id, k.store_id, k.hour) g
                  LEFT JOIN preparation_times w USING (zone_id, store_id, hour)) n
         CROSS JOIN LATERAL (
               SELECT CASE WHEN count(*) >= 10 THEN percentile_cont(0.5) WITHIN GROUP (ORDER BY x.s) END AS likely_s,
                      CASE WHEN count(*) >= 10 THEN percentile_cont(0.9) WITHIN GROUP (ORDER BY x.s) END AS late_s
                 FROM unnest(n.newest) AS x(s)) q
         ORDER BY n.zone_id, n.store_id, n.hour
        ON CONFLICT (zone_id, store_id, hour) DO UPDATE
           SET likely_s = excluded.likely_s, late_s = excluded.late_s, newest_s = excluded.newest_s, updated_at = excluded.updated_at
    ), speeds AS (
        INSERT INTO driver_speeds AS t (zone_id, hour, speed_m_per_s, newest, updated_at)
        SELECT n.zone_id, n.hour, coalesce((n.was + q.speed) / 2, q.speed), n.newest, now()
          FROM (SELECT g.*, (g.fresh || coalesce(w.newest, '{}'))[1:p_window] AS newest, w.speed_m_per_s AS was
                  FROM (SELECT d.zone_id, k.hour, array_agg(d.speed::real ORDER BY d.at DESC) AS fresh
                          FROM driven d CROSS JOIN LATERAL (VALUES (d.hour), (-1::smallint)) AS k(hour)
                         GROUP BY d.zone_id, k.hour) g
                  LEFT JOIN driver_speeds w USING (zone_id, hour)) n
         CROSS JOIN LATERAL (
               SELECT CASE WHEN count(*) >= 20
                           THEN least(20, greatest(1, percentile_cont(0.5) WITHIN GROUP (ORDER BY x.v))) END AS speed
                 FROM unnest(n.newest) AS x(v)) q
         ORDER BY n.zone_id, n.hour
        ON CONFLICT (zone_id, hour) DO UPDATE
           SET speed_m_per_s = excluded.speed_m_per_s, newest = excluded.newest, updated_at = excluded.updated_at
    )
    SELECT count(*) INTO v_count FROM done;
    UPDATE learning_cursor SET until = v_to;
    -- What has not been measured for long is not known any more.
    DELETE FROM preparation_times WHERE updated_at < now() - interval '28 days';
    DELETE FROM driver_speeds WHERE updated_at < now() - interval '28 days';
    RETURN v_count;
END
$$;
REVOKE ALL ON FUNCTION learn_from_deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION learn_from_deliveries TO mall_app;

-- The last pick-up or delivery of another order by a driver after p_from and until p_to: when, where and which. It looks
-- at the newest orders, as many as a driver can carry.
CREATE FUNCTION last_stop(p_driver bigint, p_order bigint, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (at timestamptz, type text, lat double precision, lon double precision)
LANGUAGE sql STABLE AS $$
    SELECT h.at, h.type, CASE WHEN h.type = 'delivered' THEN o.dropoff_lat ELSE (o.pickups -> -1 ->> 2)::double precision END,
           CASE WHEN h.type = 'delivered' THEN o.dropoff_lon ELSE (o.pickups -> -1 ->> 3)::double precision END
      FROM (SELECT * FROM orders x
             WHERE x.driver_id = p_driver AND x.id <> p_order AND x.created_at > p_from - interval '6 hours'
               AND x.created_at < p_to AND x.updated_at > p_from
             ORDER BY x.created_at DESC LIMIT 20) o
      JOIN order_events h ON h.order_id = o.id AND h.type IN ('picked_up', 'delivered')
     WHERE h.at > p_from AND h.at <= p_to
     ORDER BY h.at DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION last_stop FROM PUBLIC;
