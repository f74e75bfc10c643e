-- Drivers' rows outside of flush(): their creation, and their last known places.

-- Inserts drivers; a driver's number is its user's.
CREATE FUNCTION create_drivers(p_items jsonb) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH made AS (
        INSERT INTO drivers (id, shard, zone_id, capacity)
        SELECT x.id, x.shard, x.zone, x.capacity
          FROM jsonb_to_recordset(p_items) AS x(id bigint, shard integer, zone bigint, capacity integer)
        RETURNING 1)
    SELECT count(*)::integer FROM made
$$;
REVOKE ALL ON FUNCTION create_drivers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_drivers TO mall_app;

-- Keeps the last known places, now and then. Losing the newest ones costs a worse first offer and nothing else. Rows
-- that are locked are left for the next time: an acceptance never waits for a map.
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
REVOKE ALL ON FUNCTION save_positions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION save_positions TO mall_app;
