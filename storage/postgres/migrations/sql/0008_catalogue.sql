-- An index for every sort of every list, led by the filter that leaves fewest rows. Names are compared in
-- lower case and byte by byte: the same on every machine, whatever its locale, and a prefix is a range of it.

-- The newest order is the one that was created last; by their numbers, which instances take in blocks, two
-- orders may stand the wrong way round.
DROP INDEX orders_customer, orders_driver, orders_zone, orders_status;
CREATE INDEX orders_created ON orders (created_at, id);
CREATE INDEX orders_customer ON orders (customer_id, created_at, id);
CREATE INDEX orders_driver ON orders (driver_id, created_at, id) WHERE driver_id IS NOT NULL;
CREATE INDEX orders_zone ON orders (zone_id, created_at, id);
CREATE INDEX orders_store ON orders (store_id, created_at, id);
CREATE INDEX orders_status ON orders (status, created_at, id);

-- Neither the stock nor anything else that an order changes stands in these, so its updates stay on their page.
CREATE INDEX products_name ON products ((lower(name) COLLATE "C"), id);
CREATE INDEX products_price ON products (price_minor, id);
CREATE INDEX products_store_name ON products (store_id, (lower(name) COLLATE "C"), id);
CREATE INDEX products_store_price ON products (store_id, price_minor, id);

DROP INDEX stores_zone;
CREATE INDEX stores_zone ON stores (zone_id, id);
CREATE INDEX stores_name ON stores ((lower(name) COLLATE "C"), id);

DROP INDEX drivers_zone;
CREATE INDEX drivers_zone ON drivers (zone_id, status, id);
