-- Lists of webhooks. storage/postgres/list_queries.py says how this is read.

-- name: webhook_list
-- id: w.id
-- if owner_store_id: w.owner_store_id = $::bigint
-- if disabled: (w.disabled_at IS NOT NULL) = $::boolean
SELECT w.*, {key} AS sort_key FROM webhook_rows w WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: webhook_attempt_list
-- id: a.id
-- if endpoint_id: a.endpoint_id = $::bigint
-- if pos: a.pos = $::bigint
-- if failed: (a.status IS NULL OR a.status NOT BETWEEN 200 AND 299) = $::boolean
SELECT a.*, {key} AS sort_key FROM webhook_attempts a WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: webhook_dead_letter_list
-- id: d.pos
-- if endpoint_id: d.endpoint_id = $::bigint
SELECT d.*, d.pos AS id, {key} AS sort_key FROM webhook_dead_letters d WHERE {rows} ORDER BY {order} LIMIT {limit};
