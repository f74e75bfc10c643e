-- What trips of a day saved, in the zone's row; metres along the way. NULL: not computed, or a store's row.
ALTER TABLE daily_figures ADD COLUMN alone_m double precision, ADD COLUMN saved_m double precision,
                          ADD COLUMN saved_bound_m double precision;

-- What trips saved -----------------------------------------------------------------------------------------------------
--
-- A day that is over p_after_s ago and whose saved distance is not known yet, the newest first: its zone, the zone's
-- `planning`, and its delivered orders, the first p_limit that were placed. Of each order: number, store, places of store
-- and door, when it was ready, picked up and promised (seconds), its trip and its place in it. NULL: there is none.
CREATE FUNCTION next_pooling_day(p_after_s integer, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v record; v_from timestamptz; v_to timestamptz; v_orders jsonb;
BEGIN
    SELECT f.zone_id, f.day, z.planning, z.time_zone INTO v
      FROM daily_figures f JOIN zones z ON z.id = f.zone_id
     WHERE f.day >= current_date - 35 AND f.store_id = 0 AND f.saved_m IS NULL AND f.delivered > 0 AND z.plan IS NOT NULL
       AND f.day < ((now() - make_interval(secs => p_after_s)) AT TIME ZONE z.time_zone)::date
     ORDER BY f.day DESC, f.zone_id LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_from := v.day::timestamp AT TIME ZONE v.time_zone - interval '3 hours';
    v_to := (v.day + 1)::timestamp AT TIME ZONE v.time_zone + interval '3 hours';
    SELECT coalesce(jsonb_agg(jsonb_build_array(
               o.id, (o.pickups -> 0 ->> 0)::bigint, (o.pickups -> 0 ->> 2)::double precision,
               (o.pickups -> 0 ->> 3)::double precision, o.dropoff_lat, o.dropoff_lon,
               extract(epoch FROM o.ready_at)::double precision,
               (SELECT extract(epoch FROM max(e.at))::double precision FROM order_events e
                 WHERE e.order_id = o.id AND e.type = 'picked_up'),
               extract(epoch FROM o.promised_at)::double precision,
               o.search -> 'trip' ->> 0,
               (SELECT min(t.place) FROM jsonb_array_elements_text(o.search -> 'trip' -> 1)
                       WITH ORDINALITY AS t(number, place) WHERE t.number = o.id::text)) ORDER BY o.id), '[]')
      INTO v_orders
      FROM (SELECT l.id FROM order_listing l JOIN orders d ON d.id = l.id AND d.status = 'delivered'
             WHERE l.zone_id = v.zone_id AND l.pickup = 1 AND l.created_at >= v_from AND l.created_at < v_to
               AND (l.created_at AT TIME ZONE v.time_zone)::date = v.day
             ORDER BY l.created_at, l.id LIMIT p_limit) l
      JOIN orders o ON o.id = l.id;
    RETURN jsonb_build_object('zone_id', v.zone_id, 'day', v.day, 'planning', v.planning, 'orders', v_orders);
END
$$;
REVOKE ALL ON FUNCTION next_pooling_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION next_pooling_day TO mall_app;

-- Keeps what a day's orders would have been alone, what their trips saved, and what no trips could exceed, in metres.
CREATE FUNCTION keep_pooling_day(
    p_zone bigint, p_day date, p_alone_m double precision, p_saved_m double precision, p_bound_m double precision
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE daily_figures SET alone_m = p_alone_m, saved_m = p_saved_m, saved_bound_m = p_bound_m,
                             made_at = clock_timestamp()
     WHERE zone_id = p_zone AND day = p_day AND store_id = 0
$$;
REVOKE ALL ON FUNCTION keep_pooling_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_pooling_day TO mall_app;
