-- Zones whose trips a planner decides, and the end of a driver's shift.
ALTER TABLE zones
    ADD COLUMN plan text CHECK (plan IN ('planned', 'direct')),
    ADD COLUMN planning jsonb;
ALTER TABLE drivers ADD COLUMN shift_ends_at timestamptz;

CREATE OR REPLACE VIEW zone_rows AS
SELECT z.id, z.name, z.mode, z.wave_size, z.offer_ttl_s, '' AS writer, z.offer_distance_max_m, z.release_pause_s,
       z.give_up_after_s, z.plan, z.planning
  FROM zones z;

CREATE OR REPLACE VIEW driver_rows AS
SELECT d.id, d.shard, d.zone_id, u.name, u.status AS account, d.status, d.capacity, d.version, d.feed_seq,
       d.recent, d.writer, d.lat, d.lon,
       ARRAY(SELECT a.order_id FROM assignment a WHERE a.driver_id = d.id) AS carrying,
       (extract(epoch FROM d.unreachable_at) * 1000)::bigint AS unreachable_ms,
       (extract(epoch FROM d.shift_ends_at) * 1000)::bigint AS shift_ends_ms
  FROM drivers d JOIN users u ON u.id = d.id;

CREATE OR REPLACE FUNCTION flush_drivers(p_items jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_out text;
BEGIN
    WITH item AS MATERIALIZED (
        SELECT x.*, s.epoch IS NOT DISTINCT FROM x.epoch AS owned
          FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
                 id bigint, shard integer, epoch bigint, version integer, writer text, status text,
                 capacity integer, zone bigint, recent jsonb, unreachable_ms bigint,
                 shift_ends_ms bigint)) WITH ORDINALITY
               AS x(id, shard, epoch, version, writer, status, capacity, zone, recent, unreachable_ms, shift_ends_ms,
                    ord)
          LEFT JOIN shard s ON s.id = x.shard
    ), moved AS (
        UPDATE drivers d SET status = i.status, capacity = i.capacity, zone_id = i.zone,
               version = d.version + 1, recent = i.recent, writer = i.writer,
               unreachable_at = to_timestamp(i.unreachable_ms / 1000.0),
               shift_ends_at = to_timestamp(i.shift_ends_ms / 1000.0)
          FROM item i WHERE i.owned AND d.id = i.id AND d.version = i.version AND d.shard = i.shard
        RETURNING i.ord
    )
    SELECT string_agg(CASE WHEN NOT i.owned THEN '"stale"'
                           WHEN (SELECT m.ord FROM moved m WHERE m.ord = i.ord) IS NULL THEN '"version"'
                           ELSE '"ok"' END, ',' ORDER BY i.ord) INTO v_out FROM item i;
    RETURN v_out;
END
$$;
