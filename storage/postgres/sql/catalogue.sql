-- Zones, stores, products.

-- name: zone_insert
INSERT INTO zones (name, mode, wave_size, offer_ttl_s, area, offer_distance_max_m, release_pause_s, give_up_after_s,
                   driver_pay_minor, unassigned_after_s, plan, planning, delivery_rules, queue_radius_m)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING *;

-- name: zone_get
SELECT * FROM zones WHERE id = $1;

-- name: zone_exists
SELECT EXISTS (SELECT FROM zones);

-- name: zone_update
-- $2: tags that the caller has seen, NULL for any. $8 says whether the area is set at all: NULL is a value of
-- it; so do $13 of the time to give up, $15 of the pay, $17 of the time without a driver, $19 of what the planner knows, $22 of
-- the rules of deliveries, $24 of the queue's radius. The plan goes with the mode. $9: false for an empty patch, which only looks.
UPDATE zones SET name = coalesce($3, name), mode = coalesce($4, mode), wave_size = coalesce($5, wave_size),
       offer_ttl_s = coalesce($6, offer_ttl_s), area = CASE WHEN $8::boolean THEN $7::jsonb ELSE area END,
       offer_distance_max_m = coalesce($10, offer_distance_max_m), release_pause_s = coalesce($11, release_pause_s),
       give_up_after_s = CASE WHEN $13::boolean THEN $12::integer ELSE give_up_after_s END,
       driver_pay_minor = CASE WHEN $15::boolean THEN $14::integer ELSE driver_pay_minor END,
       unassigned_after_s = CASE WHEN $17::boolean THEN $16::integer ELSE unassigned_after_s END,
       planning = CASE WHEN $19::boolean THEN $18::jsonb ELSE planning END,
       plan = CASE WHEN $4 IS NULL THEN plan ELSE $20 END,
       delivery_rules = CASE WHEN $22::boolean THEN $21::jsonb ELSE delivery_rules END,
       queue_radius_m = CASE WHEN $24::boolean THEN $23::integer ELSE queue_radius_m END,
       version = version + $9::boolean::integer
 WHERE id = $1 AND ($2::text[] IS NULL OR version::text = ANY ($2)) RETURNING *;

-- name: store_insert
INSERT INTO stores (zone_id, name, lat, lon, preparation_s, delivery_radius_m, preparation_learned)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING *;

-- name: store_get
SELECT * FROM stores WHERE id = $1;

-- name: store_near
-- The rest of a page's columns by its keys: OFFSET 0 keeps the planner from reading all stores for them.
SELECT s.*, n.distance_m FROM stores_near($1, $2, $3, $4) n
 CROSS JOIN LATERAL (SELECT * FROM stores WHERE id = n.id OFFSET 0) s ORDER BY n.distance_m, s.id;

-- name: store_update
-- $2: tags that the caller has seen, NULL for any. $8: false for an empty patch, which only looks. $9 says whether the
-- delivery radius is set at all: NULL is a value of it.
UPDATE stores SET name = coalesce($3, name), lat = coalesce($4, lat), lon = coalesce($5, lon),
       preparation_s = coalesce($6, preparation_s), active = coalesce($7, active),
       delivery_radius_m = CASE WHEN $9::boolean THEN $10::integer ELSE delivery_radius_m END,
       preparation_learned = coalesce($11, preparation_learned),
       version = version + $8::boolean::integer
 WHERE id = $1 AND ($2::text[] IS NULL OR version::text = ANY ($2)) RETURNING *;

-- name: products_of_store
SELECT id FROM products WHERE store_id = $1 ORDER BY id;

-- name: product_insert
INSERT INTO products (store_id, name, price_minor, currency, stock, low_stock) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *;

-- name: product_get
SELECT * FROM products WHERE id = $1;

-- name: product_update
SELECT * FROM change_product($1::bigint, $2::text[], $3::jsonb, $4::integer, $5::text);
