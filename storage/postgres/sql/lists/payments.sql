-- Lists of payments. storage/postgres/list_queries.py says how this is read.

-- name: payment_list
-- id: p.id
-- if customer_id: p.principal_id = $::bigint
-- if order_id: p.order_id = $::bigint
-- if status: p.status = $::text
-- if stuck: (p.stuck_code IS NOT NULL) = $::boolean
WITH page AS MATERIALIZED (
    SELECT p.id FROM payments p WHERE {rows} ORDER BY {order} LIMIT {limit})
SELECT r.*, {key} AS sort_key FROM page p JOIN payment_rows r ON r.id = p.id ORDER BY {order};
