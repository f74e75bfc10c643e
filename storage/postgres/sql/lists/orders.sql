-- Lists of orders and drivers, and the history of an order. storage/postgres/list_queries.py says how this is read.

-- name: order_list
-- Numbers of orders come in blocks, one for each instance: only the time says which order is newer. The page
-- is cut first, so that names and items are fetched for its rows alone, and it is cut from order_listing, which
-- no change of an order touches; orders themselves are only met where a filter asks for their state.
-- id: l.id
-- by created_at: l.created_at; (extract(epoch FROM l.created_at) * 1000000)::bigint; 'epoch'::timestamptz + $::bigint * interval '1 microsecond'
-- if customer_id: l.customer_id = $::bigint
-- if zone_id: l.zone_id = $::bigint
-- if driver_id: o.driver_id = $::bigint
-- if status: o.status = $::text
-- if statuses: o.status = ANY ($::text[])
-- if created_after: l.created_at >= $::timestamptz
-- if created_before: l.created_at < $::timestamptz
WITH page AS MATERIALIZED (
    SELECT l.id, l.created_at FROM order_listing l LEFT JOIN orders o ON o.id = l.id
     WHERE l.pickup = 1 AND {rows} ORDER BY {order} LIMIT {limit})
SELECT r.*, {key} AS sort_key FROM page l JOIN order_rows r ON r.id = l.id ORDER BY {order};

-- name: order_list_of_store
-- The same for the orders that are fetched from a store, there only or there, too; `number` is the one on its receipt.
-- id: l.id
-- by created_at: l.created_at; (extract(epoch FROM l.created_at) * 1000000)::bigint; 'epoch'::timestamptz + $::bigint * interval '1 microsecond'
-- if store_id: l.store_id = $::bigint
-- if number: l.number = $::integer
-- if customer_id: l.customer_id = $::bigint
-- if zone_id: l.zone_id = $::bigint
-- if driver_id: o.driver_id = $::bigint
-- if status: o.status = $::text
-- if statuses: o.status = ANY ($::text[])
-- if created_after: l.created_at >= $::timestamptz
-- if created_before: l.created_at < $::timestamptz
WITH page AS MATERIALIZED (
    SELECT l.id, l.created_at FROM order_listing l LEFT JOIN orders o ON o.id = l.id
     WHERE {rows} ORDER BY {order} LIMIT {limit})
SELECT r.*, {key} AS sort_key FROM page l JOIN order_rows r ON r.id = l.id ORDER BY {order};

-- name: order_list_by_state
-- The same where nothing but their state is asked for, which has indexes of its own.
-- id: o.id
-- by created_at: o.created_at; (extract(epoch FROM o.created_at) * 1000000)::bigint; 'epoch'::timestamptz + $::bigint * interval '1 microsecond'
-- if driver_id: o.driver_id = $::bigint
-- if status: o.status = $::text
-- if statuses: o.status = ANY ($::text[])
-- if created_after: o.created_at >= $::timestamptz
-- if created_before: o.created_at < $::timestamptz
WITH page AS MATERIALIZED (
    SELECT o.id, o.created_at FROM orders o WHERE {rows} ORDER BY {order} LIMIT {limit})
SELECT r.*, {key} AS sort_key FROM page o JOIN order_rows r ON r.id = o.id ORDER BY {order};

-- name: order_history
-- id: e.version
-- if order_id: e.order_id = $::bigint
SELECT e.version, e.version AS id, e.type, e.actor_role, e.actor_id, e.reason, e.trace,
       (extract(epoch FROM e.at) * 1000)::bigint AS at_ms, e.data, {key} AS sort_key
  FROM order_events e WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: driver_list
-- id: d.id
-- if zone_id: d.zone_id = $::bigint
-- if status: d.status = $::text
-- if state: CASE WHEN d.status = 'online' AND d.unreachable_at IS NOT NULL THEN 'unreachable' ELSE d.status END = $::text
SELECT d.id, u.name, d.zone_id, d.status,
       CASE WHEN d.status = 'online' AND d.unreachable_at IS NOT NULL THEN 'unreachable' ELSE d.status END AS state,
       d.capacity, d.lat, d.lon, {key} AS sort_key,
       (SELECT count(*) FROM assignment a WHERE a.driver_id = d.id) AS carried
  FROM drivers d JOIN users u ON u.id = d.id AND u.role = 'driver' AND u.status <> 'deleted' WHERE {rows} ORDER BY {order} LIMIT {limit};
