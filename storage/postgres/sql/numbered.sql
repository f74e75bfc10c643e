-- Lists by page number, for version 1 of the API: $1 rows from number $2 on, and how many there are in all.

-- name: user_numbered
SELECT u.*, d.zone_id, d.capacity FROM users u LEFT JOIN drivers d ON d.id = u.id
 WHERE u.status <> 'deleted' AND ($3::text IS NULL OR u.role = $3) ORDER BY u.id LIMIT $1 OFFSET $2;

-- name: user_numbered_total
SELECT count(*) FROM users WHERE status <> 'deleted' AND ($1::text IS NULL OR role = $1);

-- name: zone_numbered
SELECT * FROM zones ORDER BY id LIMIT $1 OFFSET $2;

-- name: zone_numbered_total
SELECT count(*) FROM zones;

-- name: store_numbered
SELECT * FROM stores WHERE active AND ($3::bigint IS NULL OR zone_id = $3) ORDER BY id LIMIT $1 OFFSET $2;

-- name: store_numbered_total
SELECT count(*) FROM stores WHERE active AND ($1::bigint IS NULL OR zone_id = $1);

-- name: product_numbered
SELECT * FROM products WHERE active AND store_active AND ($3::bigint IS NULL OR store_id = $3) ORDER BY id LIMIT $1 OFFSET $2;

-- name: product_numbered_total
SELECT count(*) FROM products WHERE active AND store_active AND ($1::bigint IS NULL OR store_id = $1);

-- name: order_numbered
SELECT r.* FROM order_rows r LEFT JOIN order_listing l ON l.id = r.id AND l.pickup = 1
 WHERE ($3::bigint IS NULL OR l.customer_id = $3) AND ($4::bigint IS NULL OR r.driver_id = $4)
   AND ($5::text IS NULL OR r.status = $5) AND ($6::bigint IS NULL OR l.zone_id = $6)
 ORDER BY r.id DESC LIMIT $1 OFFSET $2;

-- name: order_numbered_total
SELECT count(*) FROM orders o LEFT JOIN order_listing l ON l.id = o.id AND l.pickup = 1
 WHERE ($1::bigint IS NULL OR l.customer_id = $1) AND ($2::bigint IS NULL OR o.driver_id = $2)
   AND ($3::text IS NULL OR o.status = $3) AND ($4::bigint IS NULL OR l.zone_id = $4);

-- name: driver_numbered
SELECT d.id, u.name, d.zone_id, d.status,
       CASE WHEN d.status = 'online' AND d.unreachable_at IS NOT NULL THEN 'unreachable' ELSE d.status END AS state,
       d.capacity, d.lat, d.lon, (SELECT count(*) FROM assignment a WHERE a.driver_id = d.id) AS carried
  FROM drivers d JOIN users u ON u.id = d.id AND u.role = 'driver' AND u.status <> 'deleted'
 WHERE ($3::bigint IS NULL OR d.zone_id = $3) AND ($4::text IS NULL OR d.status = $4)
 ORDER BY d.id LIMIT $1 OFFSET $2;

-- name: driver_numbered_total
SELECT count(*) FROM drivers d JOIN users u ON u.id = d.id AND u.role = 'driver' AND u.status <> 'deleted'
 WHERE ($1::bigint IS NULL OR d.zone_id = $1) AND ($2::text IS NULL OR d.status = $2);
