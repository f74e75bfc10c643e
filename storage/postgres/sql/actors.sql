-- What actors read.

-- name: load_orders
SELECT * FROM order_rows WHERE id = ANY ($1::bigint[]);

-- name: load_drivers
SELECT * FROM driver_rows WHERE id = ANY ($1::bigint[]);

-- name: load_zones
SELECT * FROM zone_rows WHERE id = ANY ($1::bigint[]);

-- name: due_orders
-- Timers of the given shards that are due, the oldest first.
SELECT id, (extract(epoch FROM due_at) * 1000)::bigint AS due_ms
  FROM orders
 WHERE due_at BETWEEN to_timestamp($2::bigint / 1000.0) AND to_timestamp($3::bigint / 1000.0)
   AND shard = ANY ($1::integer[])
 ORDER BY due_at LIMIT $4;

-- name: due_orders_ahead
-- Timers of rows that were written later than it is: somebody has set the clock back. A few seconds may be a commit on its way.
SELECT id, (extract(epoch FROM due_at) * 1000)::bigint AS due_ms,
       greatest(0, extract(epoch FROM due_at - updated_at) * 1000)::bigint AS wait_ms
  FROM orders
 WHERE due_at > to_timestamp($2::bigint / 1000.0) AND updated_at > to_timestamp($2::bigint / 1000.0 + 5)
   AND shard = ANY ($1::integer[])
 ORDER BY due_at LIMIT $3;

-- name: zone_orders
-- The open orders of a zone, as numbers and versions: the zone reads whole what it does not know.
SELECT id, version FROM orders WHERE zone_id = $1 AND status = 'confirmed';

-- name: zone_drivers
SELECT d.id, d.lat, d.lon, d.capacity,
       ARRAY(SELECT a.order_id FROM assignment a WHERE a.driver_id = d.id) AS carrying,
       (extract(epoch FROM d.shift_ends_at) * 1000)::bigint AS shift_ends_ms
  FROM drivers d WHERE d.zone_id = $1 AND d.status = 'online' AND d.unreachable_at IS NULL;

-- name: zone_carried
-- What the drivers of a zone carry, as numbers and versions.
SELECT o.id, o.version
  FROM drivers d JOIN assignment a ON a.driver_id = d.id JOIN orders o ON o.id = a.order_id WHERE d.zone_id = $1;

-- name: feed_after
SELECT seq, type, (extract(epoch FROM at) * 1000)::bigint AS at_ms, trace, data
  FROM driver_events WHERE driver_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: driver_snapshot
-- What a driver must know, as of one position of its feed: what it carries and what it is offered, both as their rows
-- are now. The feed only tells which orders to look at.
SELECT d.feed_seq, d.status, d.capacity,
       (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.id), '[]') FROM order_rows r
         WHERE r.id IN (SELECT a.order_id FROM assignment a WHERE a.driver_id = d.id)) AS carried,
       (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.id), '[]') FROM order_rows r
         WHERE r.status = 'confirmed' AND EXISTS (
               SELECT FROM jsonb_array_elements(r.search -> 'offers') x WHERE (x ->> 1)::bigint = d.id)
           AND r.id IN (SELECT e.order_id FROM driver_events e
                         WHERE e.driver_id = d.id AND e.seq > d.feed_seq - 100 AND e.type = 'offer')) AS offered
  FROM drivers d WHERE d.id = $1;

-- name: feed_positions
SELECT d.id, d.feed_seq, ARRAY(SELECT a.order_id FROM assignment a WHERE a.driver_id = d.id) AS carrying
  FROM drivers d WHERE d.id = ANY ($1::bigint[]);

-- name: cluster_meta
SELECT shards, shard_fn, feed_epoch, peer_secret FROM cluster_meta;

-- name: begin_life
SELECT nextval('life_seq');

-- name: claim_shards
SELECT shard_id, new_epoch, previous_epoch FROM claim_shards($1, $2, $3, $4);

-- name: all_shards
SELECT epoch, owner FROM shard ORDER BY id;

-- name: wall_clock
SELECT extract(epoch FROM clock_timestamp())::double precision;

-- name: take_order_ids
SELECT nextval('order_id_seq') FROM generate_series(1, $1::integer);

-- name: create_orders
-- A product that a person holds keeps the whole batch waiting, so not for long.
SELECT create_orders($1::jsonb) FROM set_config('lock_timeout', '200ms', true);

-- name: save_positions
SELECT save_positions($1::jsonb);

-- name: trim_expired
SELECT trim_expired($1, $2);

-- name: zones_of_all
SELECT id FROM zones ORDER BY id;

-- name: blockers
SELECT key, held, pid, username, application, state FROM blockers($1, $2, $3, $4);

-- name: creation_blockers
SELECT key, held, pid, username, application, state FROM creation_blockers($1, $2);
