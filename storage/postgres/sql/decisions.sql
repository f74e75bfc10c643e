-- Inputs of the planner's steps, from which a decision is made again (dispatch/decision_replay.py).

-- name: save_plan_steps
-- Steps of one version of the planner. A step that is there already stays.
INSERT INTO plan_steps (zone_id, asked_ms, number, planner, input)
SELECT s.zone_id, s.asked_ms, s.number, $4, s.input
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $5::bytea[]) AS s(zone_id, asked_ms, number, input)
ON CONFLICT DO NOTHING;

-- name: plan_steps_of
-- The steps of a zone that these pairs of time and number name.
SELECT asked_ms, number, planner, input FROM plan_steps
 WHERE zone_id = $1 AND (asked_ms, number) IN (SELECT * FROM unnest($2::bigint[], $3::bigint[]));

-- name: trim_plan_steps
-- Deletes steps that are older than $1 hours, and of each zone the oldest ones beyond $2 bytes; at most $3 of each.
WITH old AS (
    SELECT ctid FROM plan_steps WHERE at < now() - make_interval(hours => $1::integer) LIMIT $3::integer
), beyond AS (
    SELECT ctid FROM (
        SELECT ctid, sum(octet_length(input)) OVER (PARTITION BY zone_id ORDER BY asked_ms DESC, number DESC) AS bytes
          FROM plan_steps) held
     WHERE held.bytes > $2::bigint LIMIT $3
), gone AS (
    DELETE FROM plan_steps WHERE ctid IN (TABLE old UNION TABLE beyond) RETURNING 1
)
SELECT count(*) FROM gone;
