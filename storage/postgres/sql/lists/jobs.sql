-- Lists of jobs. storage/postgres/list_queries.py says how this is read. Of the states a request chooses one.

-- name: job_list
-- id: j.id
-- if task: j.task = $::text
-- if key: j.key = $::text
-- if trace: j.trace >= $::text AND j.trace < $::text || 'g'
-- if order_id: j.payload ->> 'order_id' IN ($::bigint::text, 'ord_' || $::bigint::text)
-- if waiting: (j.due_at <= now()) = $::boolean
-- if running: (j.worker IS NOT NULL AND j.due_at > now()) = $::boolean
-- if scheduled: (j.worker IS NULL AND j.due_at > now()) = $::boolean
-- if dead: (j.due_at IS NULL) = $::boolean
WITH page AS MATERIALIZED (
    SELECT j.id FROM jobs j WHERE {rows} ORDER BY {order} LIMIT {limit})
SELECT r.*, {key} AS sort_key FROM page j JOIN job_rows r ON r.id = j.id ORDER BY {order};

-- name: job_action_list
-- id: a.id
SELECT a.id, (extract(epoch FROM a.at) * 1000)::bigint AS at_ms, a.by, a.action, a.target, a.count, {key} AS sort_key
  FROM job_actions a WHERE {rows} ORDER BY {order} LIMIT {limit};
