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
INSERT INTO stores (zone_id, name, lat, lon, preparation_s) VALUES ($1, $2, $3, $4, $5) RETURNING *;

-- name: store_get
SELECT * FROM stores WHERE id = $1;

-- name: store_list
SELECT * FROM stores WHERE id > $1 AND active AND ($3::bigint IS NULL OR zone_id = $3) ORDER BY id LIMIT $2;

-- name: store_near
-- The stores within $3 metres, the nearest first: a box on the index, then the sphere. $4: half the box in
-- degrees of latitude; $5: of longitude.
SELECT * FROM (
    SELECT s.*, 2 * 6371008.7714 * asin(least(1, sqrt(
               power(sin(radians(s.lat - $1) / 2), 2)
               + cos(radians($1)) * cos(radians(s.lat)) * power(sin(radians(s.lon - $2) / 2), 2)))) AS distance_m
      FROM stores s
     WHERE s.active AND s.lat BETWEEN $1 - $4 AND $1 + $4
       AND (s.lon BETWEEN $2 - $5 AND $2 + $5 OR s.lon BETWEEN $2 - $5 + 360 AND $2 + $5 + 360
            OR s.lon BETWEEN $2 - $5 - 360 AND $2 + $5 - 360)) found
 WHERE distance_m <= $3 ORDER BY distance_m, id LIMIT $6;

-- name: store_update
UPDATE stores SET name = coalesce($2, name), lat = coalesce($3, lat), lon = coalesce($4, lon),
       preparation_s = coalesce($5, preparation_s), active = coalesce($6, active), version = version + 1
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
