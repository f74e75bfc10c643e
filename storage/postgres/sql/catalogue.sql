-- Zones, stores, products.

-- name: zone_insert
INSERT INTO zones (name, mode, wave_size, offer_ttl_s, area) VALUES ($1, $2, $3, $4, $5) RETURNING *;

-- name: zone_get
SELECT * FROM zones WHERE id = $1;

-- name: zone_list
SELECT * FROM zones WHERE id > $1 ORDER BY id LIMIT $2;

-- name: zone_update
UPDATE zones SET name = coalesce($2, name), mode = coalesce($3, mode), wave_size = coalesce($4, wave_size),
       offer_ttl_s = coalesce($5, offer_ttl_s), area = coalesce($6, area), version = version + 1
 WHERE id = $1 RETURNING *;

-- name: store_insert
INSERT INTO stores (zone_id, name, lat, lon, preparation_s, delivery_radius_m) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *;

-- name: store_get
SELECT * FROM stores WHERE id = $1;

-- name: store_list
SELECT * FROM stores WHERE id > $1 AND active AND ($3::bigint IS NULL OR zone_id = $3) ORDER BY id LIMIT $2;

-- name: store_near
-- The rest of a page's columns by its keys: OFFSET 0 keeps the planner from reading all stores for them.
SELECT s.*, n.distance_m FROM stores_near($1, $2, $3, $4) n
 CROSS JOIN LATERAL (SELECT * FROM stores WHERE id = n.id OFFSET 0) s ORDER BY n.distance_m, s.id;

-- name: store_update
-- $7 says whether the delivery radius is set at all: NULL is a value of it.
UPDATE stores SET name = coalesce($2, name), lat = coalesce($3, lat), lon = coalesce($4, lon),
       preparation_s = coalesce($5, preparation_s), active = coalesce($6, active),
       delivery_radius_m = CASE WHEN $7::boolean THEN $8::integer ELSE delivery_radius_m END, version = version + 1
 WHERE id = $1 RETURNING *;

-- name: product_insert
INSERT INTO products (store_id, name, price_minor, currency, stock) VALUES ($1, $2, $3, $4, $5) RETURNING *;

-- name: product_get
SELECT * FROM products WHERE id = $1;

-- name: product_list
SELECT * FROM products WHERE id > $1 AND active AND ($3::bigint IS NULL OR store_id = $3) ORDER BY id LIMIT $2;

-- name: product_update
-- $6 says whether stock is set at all: NULL is a value of it.
UPDATE products SET name = coalesce($2, name), price_minor = coalesce($3, price_minor),
       currency = coalesce($4, currency), stock = CASE WHEN $6::boolean THEN $5::integer ELSE stock END,
       active = coalesce($7, active), version = version + 1
 WHERE id = $1 RETURNING *;
