-- Lists of figures by day. storage/postgres/list_queries.py says how this is read.

-- name: daily_figures
-- id: f.id
-- by day: f.day; to_char(f.day, 'YYYY-MM-DD'); $::text::date
-- if day_from: f.day >= $::date
-- if day_to: f.day <= $::date
-- if zone_id: f.zone_id = $::bigint
-- if store_id: f.store_id = $::bigint
SELECT f.*, {key} AS sort_key FROM daily_figures f WHERE {rows} ORDER BY {order} LIMIT {limit};

-- name: daily_cash
-- id: c.id
-- by day: c.day; to_char(c.day, 'YYYY-MM-DD'); $::text::date
-- if day_from: c.day >= $::date
-- if day_to: c.day <= $::date
-- if zone_id: c.zone_id = $::bigint
-- if driver_id: c.driver_id = $::bigint
SELECT c.*, {key} AS sort_key FROM daily_cash c WHERE {rows} ORDER BY {order} LIMIT {limit};
