-- Lists and history; single orders are answered by their actors.

-- name: order_list
SELECT * FROM order_rows
 WHERE id < $1 AND ($3::bigint IS NULL OR customer_id = $3) AND ($4::bigint IS NULL OR driver_id = $4)
   AND ($5::text IS NULL OR status = $5) AND ($6::bigint IS NULL OR zone_id = $6)
 ORDER BY id DESC LIMIT $2;

-- name: carried_orders
SELECT * FROM order_rows WHERE id IN (SELECT order_id FROM assignment WHERE driver_id = $1) ORDER BY id;

-- name: order_history
SELECT version, type, actor_role, actor_id, reason, trace, (extract(epoch FROM at) * 1000)::bigint AS at_ms, data
  FROM order_events WHERE order_id = $1 ORDER BY version LIMIT $2;

-- name: driver_list
SELECT r.*, (SELECT count(*) FROM assignment a WHERE a.driver_id = r.id) AS carried
  FROM driver_rows r
 WHERE r.id > $1 AND ($3::bigint IS NULL OR r.zone_id = $3) AND ($4::text IS NULL OR r.status = $4)
 ORDER BY r.id LIMIT $2;

-- name: ping
SELECT 1;
