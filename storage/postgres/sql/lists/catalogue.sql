-- Lists of zones, stores, products and users. storage/postgres/list_queries.py says how this is read.

-- name: zone_list
-- id: z.id
SELECT z.*, {key} AS sort_key FROM zones z WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: store_list
-- id: s.id
-- by name: lower(s.name) COLLATE "C"; lower(s.name); $::text
-- if zone_id: s.zone_id = $::bigint
-- if active: s.active = $::boolean
-- if q: lower(s.name) COLLATE "C" >= lower($::text) AND lower(s.name) COLLATE "C" < lower($::text) || U&'\+10FFFF'
SELECT s.*, {key} AS sort_key FROM stores s WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: product_list
-- id: p.id
-- by name: lower(p.name) COLLATE "C"; lower(p.name); $::text
-- by price: p.price_minor; p.price_minor; $::bigint
-- if store_id: p.store_id = $::bigint
-- if active: (p.active AND p.store_active) = $::boolean
-- if currency: p.currency = $::text
-- if price_min_minor: p.price_minor >= $::bigint
-- if price_max_minor: p.price_minor <= $::bigint
-- if q: lower(p.name) COLLATE "C" >= lower($::text) AND lower(p.name) COLLATE "C" < lower($::text) || U&'\+10FFFF'
SELECT p.*, {key} AS sort_key FROM products p WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: user_list
-- id: u.id
-- if role: u.role = $::text
-- if status: u.status = $::text
-- if email: u.email_key = $::text
SELECT u.*, d.zone_id, d.capacity, {key} AS sort_key FROM users u LEFT JOIN drivers d ON d.id = u.id
 WHERE u.status <> 'deleted' AND {rows} ORDER BY {order} LIMIT {limit};
