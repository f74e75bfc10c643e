-- What must be so in every database of this product (`run.py verify`; storage/postgres/audit.py says each in words).
-- A check answers with a row (key, why) for whatever breaks it, and with none when it holds. Where it has
-- them, $1 and $2 are bounds: it looks at $1 < id <= $2. Together the slices cover every number, so rows that
-- belong to nobody are in one of them. Nothing here casts what it has not looked at: what is audited may be broken.

-- name: slice_of_orders
-- The last id of the slice that begins after $1 and has $2 rows; none: there are fewer.
SELECT id FROM orders WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_drivers
SELECT id FROM drivers WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_users
SELECT id FROM users WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_products
SELECT id FROM products WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_event_log
SELECT pos FROM event_log WHERE pos > $1 ORDER BY pos OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_jobs
SELECT id FROM jobs WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_job_runs
SELECT id FROM job_runs WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: slice_of_notices
SELECT id FROM notices WHERE id > $1 ORDER BY id OFFSET $2::integer - 1 LIMIT 1;

-- name: audit_assignments
-- $3: the statuses in which an order is carried.
SELECT 'ord_' || coalesce(o.id, a.order_id) AS key,
       coalesce(o.status, 'no such order') || ' with ' || coalesce(a.held, 0) || ' assignments' AS why
  FROM (SELECT id, status FROM orders WHERE id > $1 AND id <= $2) o
  FULL JOIN (SELECT order_id, count(*) AS held FROM assignment
              WHERE order_id > $1 AND order_id <= $2 GROUP BY order_id) a ON a.order_id = o.id
 WHERE coalesce(a.held, 0) IS DISTINCT FROM CASE WHEN o.status = ANY ($3::text[]) THEN 1 WHEN o.id IS NOT NULL THEN 0 END
 ORDER BY coalesce(o.id, a.order_id);

-- name: audit_carriers
SELECT 'ord_' || o.id AS key,
       'assigned to ' || a.driver_id || ' since ' || a.since || ', the order names ' || coalesce(o.driver_id::text, 'nobody')
       || coalesce(' since ' || e.at, '') AS why
  FROM assignment a
  JOIN orders o ON o.id = a.order_id
  LEFT JOIN (SELECT order_id, (array_agg(at ORDER BY version DESC))[1] AS at FROM order_events
              WHERE order_id > $1 AND order_id <= $2 AND type IN ('assigned', 'handed_over') GROUP BY order_id) e ON e.order_id = o.id
 WHERE a.order_id > $1 AND a.order_id <= $2 AND o.id > $1 AND o.id <= $2
   AND (o.driver_id IS DISTINCT FROM a.driver_id OR a.since IS DISTINCT FROM e.at)
 ORDER BY o.id;

-- name: audit_slots
-- flush() gives the lowest free slot below the capacity, and none while as many are taken. A capacity that was
-- lowered later leaves them taken: nothing tells how high it was, but a driver at version 1 was never changed,
-- and none was ever above 20 (the table's own check).
SELECT 'drv_' || a.driver_id AS key,
       a.held || ' orders in ' || a.slots || ' slots from ' || a.lowest || ' to ' || a.highest
       || ', capacity ' || coalesce(d.capacity::text, 'of no driver') AS why
  FROM (SELECT driver_id, count(*) AS held, count(DISTINCT slot) AS slots, min(slot) AS lowest, max(slot) AS highest
          FROM assignment WHERE driver_id > $1 AND driver_id <= $2 GROUP BY driver_id) a
  LEFT JOIN drivers d ON d.id = a.driver_id
 WHERE d.id IS NULL OR a.slots < a.held OR a.lowest < 0
    OR greatest(a.held, a.highest + 1) > CASE d.version WHEN 1 THEN d.capacity ELSE 20 END
 ORDER BY a.driver_id;

-- name: audit_history
SELECT 'ord_' || coalesce(o.id, e.order_id) AS key,
       coalesce('version ' || o.version, 'no such order') || ', ' || coalesce(e.many, 0) || ' events'
       || coalesce(' from ' || e.first || ' to ' || e.last || ', the first ' || e.type, '') AS why
  FROM (SELECT id, version FROM orders WHERE id > $1 AND id <= $2) o
  FULL JOIN (SELECT order_id, count(*) AS many, min(version) AS first, max(version) AS last,
                    min(type) FILTER (WHERE version = 1) AS type,
                    count(*) FILTER (WHERE type = 'created') AS creations
               FROM order_events WHERE order_id > $1 AND order_id <= $2 GROUP BY order_id) e ON e.order_id = o.id
 WHERE o.version IS DISTINCT FROM e.last OR e.many <> e.last OR e.first <> 1
    OR e.type IS DISTINCT FROM 'created' OR e.creations <> 1
 ORDER BY coalesce(o.id, e.order_id);

-- name: audit_moves
-- $3, $4, $5: the transition table, as before, event, after. An event leads to one status only.
WITH move AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[]) AS m(before, event, after)
), change AS (
    SELECT e.order_id, e.version, e.type, t.after,
           lag(t.after) OVER (PARTITION BY e.order_id ORDER BY e.version) AS before
      FROM order_events e JOIN (SELECT DISTINCT event, after FROM move) t ON t.event = e.type
     WHERE e.order_id > $1 AND e.order_id <= $2
), known AS (
    SELECT c.order_id, c.version, c.type,
           coalesce(c.before, CASE WHEN o.payment = 'cash' OR o.total_minor = 0 THEN 'confirmed' ELSE 'awaiting_payment' END) AS before
      FROM change c JOIN orders o ON o.id = c.order_id WHERE o.id > $1 AND o.id <= $2
)
SELECT 'ord_' || k.order_id AS key, 'version ' || k.version || ' is ' || k.type || ' and was ' || k.before AS why
  FROM known k
 WHERE NOT EXISTS (SELECT FROM move m WHERE m.before = k.before AND m.event = k.type)
 ORDER BY k.order_id, k.version;

-- name: audit_outcomes
-- $3, $4, $5: the transition table; $6: the statuses that end an order.
WITH told AS (
    SELECT e.order_id, max(e.version) FILTER (WHERE e.type NOT LIKE 'payment\_%') AS last, max(e.version) FILTER (WHERE t.after IS NOT NULL) AS moved,
           (array_agg(e.at ORDER BY e.version DESC))[1] AS at,
           (array_agg(t.after ORDER BY e.version DESC) FILTER (WHERE t.after IS NOT NULL))[1] AS status,
           (array_agg(CASE WHEN e.type <> 'released' THEN e.data ->> 'driver_id' END ORDER BY e.version DESC)
             FILTER (WHERE e.type IN ('assigned', 'handed_over', 'released')))[1] AS driver
      FROM order_events e
      LEFT JOIN (SELECT DISTINCT m.event, m.after
                   FROM unnest($3::text[], $4::text[], $5::text[]) AS m(before, event, after)) t ON t.event = e.type
     WHERE e.order_id > $1 AND e.order_id <= $2 GROUP BY e.order_id
), known AS (
    SELECT o.id, o.status, o.updated_at, 'drv_' || o.driver_id AS driver, t.driver AS told_driver, t.at, t.last, t.moved,
           coalesce(t.status, CASE WHEN o.payment = 'cash' OR o.total_minor = 0 THEN 'confirmed' ELSE 'awaiting_payment' END) AS told_status
      FROM orders o JOIN told t ON t.order_id = o.id WHERE o.id > $1 AND o.id <= $2
)
SELECT 'ord_' || k.id AS key,
       k.status || ' by ' || coalesce(k.driver, 'nobody') || ' at ' || k.updated_at || ', its history ends with '
       || k.told_status || ' by ' || coalesce(k.told_driver, 'nobody') || ' at ' || k.at
       || CASE WHEN k.moved < k.last THEN ', ' || k.last - k.moved || ' events after it' ELSE '' END AS why
  FROM known k
 WHERE k.status <> k.told_status OR k.driver IS DISTINCT FROM k.told_driver OR k.updated_at <> k.at
    OR (k.status = ANY ($6::text[]) AND k.moved < k.last)
 ORDER BY k.id;

-- name: audit_winners
WITH turn AS (
    SELECT order_id, version, type, lag(type) OVER (PARTITION BY order_id ORDER BY version) AS previous
      FROM order_events WHERE order_id > $1 AND order_id <= $2 AND type IN ('assigned', 'released')
), won AS (
    SELECT order_id, count(*) FILTER (WHERE type = 'assigned') AS winners,
           count(*) FILTER (WHERE type = 'released') AS releases,
           count(*) FILTER (WHERE type = 'assigned' AND previous = 'assigned') AS doubled
      FROM turn GROUP BY order_id
)
SELECT 'ord_' || o.id AS key,
       w.winners || ' winners and ' || w.releases || ' releases, now in round ' || o.round AS why
  FROM won w JOIN orders o ON o.id = w.order_id
 WHERE o.id > $1 AND o.id <= $2 AND (w.doubled > 0 OR o.round < w.winners OR o.round < w.releases + 1)
 ORDER BY o.id;

-- name: audit_timers
-- A timer that stands later than the first offer's end, or earlier, would not end the offer: it rings once.
WITH waiting AS (
    SELECT o.id, o.status, (extract(epoch FROM o.due_at) * 1000)::bigint::text AS due,
           (SELECT min(x ->> 2) FROM jsonb_array_elements(
                CASE jsonb_typeof(o.search -> 'offers') WHEN 'array' THEN o.search -> 'offers' END) x) AS ends
      FROM orders o WHERE o.id > $1 AND o.id <= $2 AND o.status IN ('awaiting_payment', 'confirmed')
)
SELECT 'ord_' || w.id AS key,
       w.status || ', due at ' || coalesce(w.due, 'no time')
       || coalesce(', its offers end from ' || w.ends || ' on', '') AS why
  FROM waiting w
 WHERE (w.status = 'awaiting_payment' AND w.due IS NULL) OR (w.ends IS NOT NULL AND w.due IS DISTINCT FROM w.ends)
 ORDER BY w.id;

-- name: audit_ends
-- $3: the statuses that end an order.
SELECT 'ord_' || o.id AS key,
       o.status || CASE WHEN o.due_at IS NULL THEN '' ELSE ', due at ' || o.due_at END
       || coalesce(', offers ' || (o.search ->> 'offers'), '') AS why
  FROM orders o
 WHERE o.id > $1 AND o.id <= $2
   AND ((o.status = ANY ($3::text[]) AND o.due_at IS NOT NULL)
        OR (o.status <> 'confirmed' AND o.search -> 'offers' <> '[]'))
 ORDER BY o.id;

-- name: audit_totals
SELECT 'ord_' || coalesce(o.id, i.order_id) AS key,
       coalesce('total ' || o.total_minor, 'no such order') || ', ' || coalesce(i.many, 0) || ' lines'
       || coalesce(' up to ' || i.last || ' make ' || i.total, '') AS why
  FROM (SELECT id, total_minor - coalesce((terms ->> 'tip_minor')::bigint, 0) AS total_minor
          FROM orders WHERE id > $1 AND id <= $2) o
  FULL JOIN (SELECT order_id, count(*) AS many, min(line) AS first, max(line) AS last,
                    sum(quantity * price_minor) AS total
               FROM order_items WHERE order_id > $1 AND order_id <= $2 GROUP BY order_id) i ON i.order_id = o.id
 WHERE o.total_minor IS DISTINCT FROM i.total OR i.first <> 1 OR i.last <> i.many
 ORDER BY coalesce(o.id, i.order_id);

-- name: audit_currencies
SELECT 'ord_' || o.id AS key, o.currency || coalesce(', paid in ' || p.currency, '') AS why
  FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.order_id > $1 AND p.order_id <= $2
 WHERE o.id > $1 AND o.id <= $2 AND (o.currency !~ '^[A-Z]{3}$' OR p.currency <> o.currency)
 ORDER BY o.id;

-- name: audit_payments
-- What somebody still has to do has its time; the end of an order and its payment's are two commits.
SELECT 'pay_' || p.id AS key, p.status || ', ' || p.amount_minor || '; the order ' || o.status || ', ' || o.total_minor AS why
  FROM payments p JOIN orders o ON o.id = p.order_id
 WHERE p.order_id > $1 AND p.order_id <= $2
   AND (p.amount_minor <> o.total_minor OR o.payment <> 'card'
        OR (p.status IN ('captured', 'refunding', 'refunded') AND o.status <> 'delivered' AND p.settled IS NULL
            AND o.search ->> 'fee' IS NULL)
        OR (p.status = 'voided' AND o.status NOT IN ('cancelled', 'undeliverable') AND p.settled IS NULL)
        OR (p.status = 'held' AND p.due_at IS NULL AND p.stuck_code IS NULL
            AND o.status IN ('awaiting_payment', 'delivered', 'cancelled', 'undeliverable'))
        OR (p.status IN ('pending', 'refunding') AND p.due_at IS NULL AND p.stuck_code IS NULL)
        OR (p.status = 'refunded') <> (p.refunded_minor = p.amount_minor AND p.amount_minor > 0)
        OR p.refunded_minor <> (SELECT coalesce(sum(f.amount_minor), 0) FROM payment_refunds f
                                 WHERE f.payment_id = p.id AND f.status = 'done')
        OR p.told > p.version
        OR (p.status IN ('captured', 'voided', 'refunded') AND p.told < p.version AND p.due_at IS NULL
            AND p.gateway_ref IS NOT NULL))
UNION ALL
SELECT 'ord_' || o.id, o.status || ' without a payment'
  FROM orders o
 WHERE o.id > $1 AND o.id <= $2 AND o.payment = 'card' AND o.total_minor > 0
   AND o.status NOT IN ('awaiting_payment', 'cancelled')
   AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.order_id > $1 AND p.order_id <= $2
                      AND p.status NOT IN ('pending', 'declined'))
 ORDER BY 1;

-- name: audit_references
-- What foreign keys said before 0004_batches.sql; orders of items, events and assignments: see those.
SELECT 'ord_' || x.id AS key, 'no ' || x.missing AS why
  FROM (SELECT o.id, concat_ws(', ', CASE WHEN z.id IS NULL THEN 'zone ' || o.zone_id END,
                               CASE WHEN s.id IS NULL THEN 'store ' || o.store_id END,
                               CASE WHEN u.id IS NULL THEN 'customer ' || o.customer_id END,
                               CASE WHEN d.id IS NULL THEN 'driver ' || o.driver_id END) AS missing
          FROM orders o LEFT JOIN zones z ON z.id = o.zone_id LEFT JOIN stores s ON s.id = o.store_id
          LEFT JOIN users u ON u.id = o.customer_id LEFT JOIN drivers d ON d.id = o.driver_id
         WHERE o.id > $1 AND o.id <= $2
        UNION ALL
        SELECT i.order_id, 'product ' || i.product_id
          FROM order_items i LEFT JOIN products p ON p.id = i.product_id
         WHERE i.order_id > $1 AND i.order_id <= $2 AND p.id IS NULL) x
 WHERE x.missing <> '' ORDER BY x.id;

-- name: audit_listings
SELECT 'ord_' || coalesce(o.id, l.id) AS key,
       CASE WHEN l.id IS NULL THEN 'not listed' WHEN o.id IS NULL THEN 'listed, but there is no order or no such pick-up'
            ELSE 'listed by another time, customer, zone, store or number' END AS why
  FROM (SELECT x.id, x.created_at, x.customer_id, x.zone_id, p.at AS pickup, p.part ->> 0 AS store, p.part ->> 4 AS number
          FROM orders x CROSS JOIN LATERAL jsonb_array_elements(
               CASE jsonb_typeof(x.pickups) WHEN 'array' THEN x.pickups ELSE '[]' END) WITH ORDINALITY AS p(part, at)
         WHERE x.id > $1 AND x.id <= $2) o
  FULL JOIN (SELECT * FROM order_listing WHERE id > $1 AND id <= $2) l ON l.id = o.id AND l.pickup = o.pickup
 WHERE (o.id, o.created_at, o.customer_id, o.zone_id, o.store, o.number)
       IS DISTINCT FROM (l.id, l.created_at, l.customer_id, l.zone_id, l.store_id::text, l.number::text)
 ORDER BY 1;

-- name: audit_order_shards
SELECT id, shard FROM orders WHERE id > $1 AND id <= $2 ORDER BY id;

-- name: audit_driver_shards
SELECT id, shard FROM drivers WHERE id > $1 AND id <= $2 ORDER BY id;

-- name: audit_order_memories
-- $3: how many commands a row remembers.
SELECT 'ord_' || o.id AS key, coalesce(m.many || ' commands, ' || m.different || ' different', 'no list') AS why
  FROM orders o
  LEFT JOIN LATERAL (SELECT count(*) AS many, count(DISTINCT r ->> 0) AS different FROM jsonb_array_elements(
         CASE jsonb_typeof(o.recent) WHEN 'array' THEN o.recent END) r) m ON jsonb_typeof(o.recent) = 'array'
 WHERE o.id > $1 AND o.id <= $2 AND o.recent <> '[]'
   AND (m.many IS NULL OR m.many > $3::integer OR m.different < m.many)
 ORDER BY o.id;

-- name: audit_driver_memories
SELECT 'drv_' || d.id AS key, coalesce(m.many || ' commands, ' || m.different || ' different', 'no list') AS why
  FROM drivers d
  LEFT JOIN LATERAL (SELECT count(*) AS many, count(DISTINCT r ->> 0) AS different FROM jsonb_array_elements(
         CASE jsonb_typeof(d.recent) WHEN 'array' THEN d.recent END) r) m ON jsonb_typeof(d.recent) = 'array'
 WHERE d.id > $1 AND d.id <= $2 AND d.recent <> '[]'
   AND (m.many IS NULL OR m.many > $3::integer OR m.different < m.many)
 ORDER BY d.id;

-- name: audit_feed_bounds
SELECT 'drv_' || f.driver_id AS key,
       'entries ' || min(f.seq) || ' to ' || max(f.seq) || ', feed_seq ' || coalesce(min(d.feed_seq)::text, 'of no driver') AS why
  FROM driver_events f LEFT JOIN drivers d ON d.id = f.driver_id
 WHERE f.driver_id > $1 AND f.driver_id <= $2
 GROUP BY f.driver_id
HAVING min(f.seq) < 1 OR min(d.feed_seq) IS NULL OR max(f.seq) > min(d.feed_seq)
 ORDER BY f.driver_id;

-- name: audit_feed_gaps
-- $3: how many days entries are kept. Trimming takes the old ones in any order, so gaps among them are legal;
-- none is after an entry that is too young to be trimmed, nor anywhere in the feed of a young driver. An entry
-- bears the moment of its decision and a place in the feed by its commit: an hour is far more than lies between.
WITH feed AS (
    SELECT d.id, d.feed_seq, CASE WHEN u.created_at > k.since THEN 1
             ELSE (SELECT min(f.seq) FROM driver_events f WHERE f.driver_id = d.id AND f.at > k.since) END AS first
      FROM drivers d JOIN users u ON u.id = d.id,
           (SELECT now() - make_interval(days => $3::integer) + interval '1 hour' AS since) k
     WHERE d.id > $1 AND d.id <= $2
)
SELECT 'drv_' || w.id AS key,
       w.feed_seq - w.first + 1 - h.held || ' entries missing from ' || w.first || ' to ' || w.feed_seq AS why
  FROM feed w,
       LATERAL (SELECT count(*) AS held FROM driver_events f
                 WHERE f.driver_id = w.id AND f.seq BETWEEN w.first AND w.feed_seq) h
 WHERE h.held < w.feed_seq - w.first + 1
 ORDER BY w.id;

-- name: audit_feed_sources
-- An entry is written by the commit of the event that it tells of, with its time and its trace; the driver is that of
-- the event, or the one that carried the order then.
SELECT 'drv_' || f.driver_id || ' seq ' || f.seq AS key,
       f.type || ' of ord_' || f.order_id || ' version ' || coalesce(f.data ->> 'version', 'none')
       || CASE WHEN o.id IS NULL THEN ', which is no order' ELSE ', where the history has '
          || coalesce(e.type || ' of ' || coalesce(e.data ->> 'driver_id', e.actor_id), 'nothing') END AS why
  FROM driver_events f
  LEFT JOIN orders o ON o.id = f.order_id
  LEFT JOIN order_events e ON e.order_id = f.order_id AND e.version =
       CASE WHEN f.data ->> 'version' ~ '^[0-9]{1,9}$' THEN (f.data ->> 'version')::integer END
  LEFT JOIN (VALUES ('offer', ARRAY['offered']), ('offer.ready_time', ARRAY['ready_time_set']),
                    ('order.ready_time', ARRAY['ready_time_set']), ('order.assigned', ARRAY['assigned', 'handed_over']),
                    ('order.released', ARRAY['released', 'handed_over']), ('order.picked_up', ARRAY['picked_up']),
                    ('order.delivered', ARRAY['delivered']), ('order.undeliverable', ARRAY['failed', 'returned']),
                    ('order.cancelled', ARRAY['cancelled']), ('order.returning', ARRAY['returning'])) AS t(entry, events) ON t.entry = f.type
 WHERE f.driver_id > $1 AND f.driver_id <= $2
   AND (o.id IS NULL
        OR t.events IS NOT NULL AND (e.type IS NULL OR e.type <> ALL (t.events) OR e.at <> f.at OR e.trace <> f.trace)
        OR f.type = 'order.assigned' AND e.data ->> 'driver_id' IS DISTINCT FROM 'drv_' || f.driver_id
        OR f.type = 'order.released' AND coalesce(e.data ->> 'from', e.data ->> 'driver_id') IS DISTINCT FROM 'drv_' || f.driver_id
        OR f.type IN ('order.picked_up', 'order.delivered', 'order.undeliverable', 'order.returning')
           AND CASE e.actor_role WHEN 'driver' THEN e.actor_id ELSE e.data ->> 'driver_id' END <> 'drv_' || f.driver_id)
 ORDER BY f.driver_id, f.seq;

-- name: audit_feed_news
-- $3: how many days entries are kept. The other way round: what a carrier's feed must have been told.
WITH event AS (
    SELECT e.* FROM order_events e
     WHERE e.order_id > $1 AND e.order_id <= $2
       AND e.type IN ('assigned', 'released', 'handed_over', 'picked_up', 'returning', 'delivered', 'failed', 'returned')
       AND e.at > now() - make_interval(days => $3::integer) + interval '1 hour'
), told AS (
    SELECT e.order_id, e.version, e.type, e.at, e.trace,
           CASE WHEN e.actor_role = 'driver' AND e.type NOT IN ('assigned', 'released', 'handed_over') THEN e.actor_id
                ELSE e.data ->> 'driver_id' END AS driver,
           CASE e.type WHEN 'failed' THEN 'order.undeliverable' WHEN 'returned' THEN 'order.undeliverable'
                       WHEN 'handed_over' THEN 'order.assigned' ELSE 'order.' || e.type END AS entry
      FROM event e
    UNION ALL
    SELECT e.order_id, e.version, e.type, e.at, e.trace, e.data ->> 'from', 'order.released'
      FROM event e WHERE e.type = 'handed_over'
)
SELECT 'ord_' || t.order_id AS key,
       'version ' || t.version || ' (' || t.type || ') is not in the feed of ' || coalesce(t.driver, 'nobody') AS why
  FROM told t
 WHERE (t.driver IS NOT NULL OR t.type IN ('assigned', 'released', 'handed_over'))
   AND NOT EXISTS (SELECT FROM driver_events f
                    WHERE f.order_id = t.order_id AND f.type = t.entry AND f.at = t.at AND f.trace = t.trace
                      AND 'drv_' || f.driver_id = t.driver
                      AND f.at BETWEEN (SELECT min(x.at) FROM told x) AND (SELECT max(x.at) FROM told x))
 ORDER BY t.order_id, t.version;

-- name: audit_keys
-- What was answered under a key is what was made: facts are the order's row as of its creation.
SELECT 'usr_' || k.principal_id || ' ' || k.route || ' ' || encode(k.key_hash, 'hex') AS key,
       'ord_' || coalesce(k.number, '?') || CASE WHEN o.id IS NULL THEN ' does not exist'
         WHEN k.uses > 1 THEN ' was made under ' || k.uses || ' keys' ELSE ' is not as it was answered' END AS why
  FROM (SELECT i.*, i.facts ->> 'id' AS number,
               count(*) OVER (PARTITION BY i.principal_id, i.facts ->> 'id') AS uses
          FROM idempotency i WHERE i.principal_id > $1 AND i.principal_id <= $2 AND i.code = 'created') k
  LEFT JOIN orders o ON o.id = CASE WHEN k.number ~ '^[0-9]{1,18}$' THEN k.number::bigint END
 WHERE o.id IS NULL OR k.uses > 1 OR o.customer_id <> k.principal_id
    OR k.facts ->> 'total_minor' IS DISTINCT FROM o.total_minor::text
    OR k.facts ->> 'currency' IS DISTINCT FROM o.currency
    OR k.facts ->> 'created_ms' IS DISTINCT FROM (extract(epoch FROM o.created_at) * 1000)::bigint::text
    OR k.facts ->> 'payment' IS DISTINCT FROM o.payment OR k.facts ->> 'shard' IS DISTINCT FROM o.shard::text
    OR ((k.facts ->> 'address' IS DISTINCT FROM o.address OR k.facts ->> 'notes' IS DISTINCT FROM o.notes
         OR k.facts -> 'dropoff_lat' IS DISTINCT FROM to_jsonb(o.dropoff_lat)
         OR k.facts -> 'dropoff_lon' IS DISTINCT FROM to_jsonb(o.dropoff_lon))
        AND (SELECT u.status FROM users u WHERE u.id = o.customer_id) IS DISTINCT FROM 'deleted')
    OR k.facts ->> 'zone_id' IS DISTINCT FROM o.zone_id::text OR k.facts ->> 'store_id' IS DISTINCT FROM o.store_id::text
 ORDER BY k.principal_id, k.route, k.key_hash;

-- name: audit_stock
-- What is there and what orders have taken and not given back is what the API has set.
SELECT 'prd_' || p.id AS key,
       coalesce(p.stock::text, 'no number') || ' in stock, ' || coalesce(o.pieces, 0) || ' with orders, of '
       || coalesce(m.pieces::text, 'no number') AS why
  FROM (SELECT id, stock FROM products WHERE id > $1 AND id <= $2) p
  LEFT JOIN stock_made m ON m.product_id = p.id
  LEFT JOIN (SELECT product_id, sum(taken - returned) AS pieces FROM order_items
              WHERE product_id > $1 AND product_id <= $2 GROUP BY product_id) o ON o.product_id = p.id
 WHERE p.stock < 0 OR (p.stock IS NULL) <> (m.pieces IS NULL) OR p.stock + coalesce(o.pieces, 0) <> m.pieces
 ORDER BY p.id;

-- name: audit_returns
-- What a cancelled order had taken from the stock is back; what is on its way or delivered is not.
SELECT 'ord_' || o.id AS key, o.status || ', ' || i.taken || ' taken, ' || i.returned || ' returned' AS why
  FROM (SELECT id, status FROM orders WHERE id > $1 AND id <= $2) o
  JOIN (SELECT order_id, sum(taken) AS taken, sum(returned) AS returned, bool_or(taken NOT IN (0, quantity)) AS odd,
               bool_or(returned NOT IN (0, taken)) AS part
          FROM order_items WHERE order_id > $1 AND order_id <= $2 GROUP BY order_id) i ON i.order_id = o.id
 WHERE i.odd OR i.part OR (o.status = 'cancelled' AND i.returned < i.taken)
    OR (o.status NOT IN ('cancelled', 'undeliverable') AND i.returned > 0)
 ORDER BY o.id;

-- name: audit_pickups
-- An order is fetched from stores that are there, the first of which is its own, and every line from one of them.
WITH stop AS (
    SELECT o.id, o.store_id, p.part, p.at
      FROM orders o CROSS JOIN LATERAL jsonb_array_elements(
           CASE jsonb_typeof(o.pickups) WHEN 'array' THEN o.pickups ELSE '[]' END) WITH ORDINALITY AS p(part, at)
     WHERE o.id > $1 AND o.id <= $2
), route AS (
    SELECT s.id, min(s.store_id) AS store_id, min(s.part ->> 0) FILTER (WHERE s.at = 1) AS first,
           bool_and(t.id IS NOT NULL) AS known,
           (SELECT count(*) FROM stop x CROSS JOIN LATERAL jsonb_array_elements(
                   CASE jsonb_typeof(x.part -> 5) WHEN 'array' THEN x.part -> 5 ELSE '[]' END) l WHERE x.id = s.id) AS lines,
           (SELECT count(DISTINCT l) FROM stop x CROSS JOIN LATERAL jsonb_array_elements(
                   CASE jsonb_typeof(x.part -> 5) WHEN 'array' THEN x.part -> 5 ELSE '[]' END) l WHERE x.id = s.id) AS different
      FROM stop s LEFT JOIN stores t ON t.id = CASE WHEN s.part ->> 0 ~ '^[0-9]{1,18}$' THEN (s.part ->> 0)::bigint END
     GROUP BY s.id
)
SELECT 'ord_' || o.id AS key, coalesce('first from store ' || r.first || ', ' || r.lines || ' of ', 'nothing of ') || coalesce(i.many, 0) || ' lines' AS why
  FROM (SELECT id, store_id FROM orders WHERE id > $1 AND id <= $2) o
  LEFT JOIN route r ON r.id = o.id
  LEFT JOIN (SELECT order_id, count(*) AS many FROM order_items WHERE order_id > $1 AND order_id <= $2 GROUP BY order_id) i ON i.order_id = o.id
 WHERE r.id IS NULL OR r.first <> o.store_id::text OR NOT r.known OR r.lines <> coalesce(i.many, 0) OR r.different <> r.lines
 ORDER BY o.id;

-- name: audit_store_numbers
-- A store's orders are numbered without a gap, day by day: so many were numbered as there are.
SELECT 'sto_' || coalesce(d.store_id, l.store_id) AS key,
       coalesce(d.given, 0) || ' numbers were given, there are ' || coalesce(l.orders, 0) || ' orders' AS why
  FROM (SELECT store_id, sum(last) AS given FROM store_days GROUP BY store_id) d
  FULL JOIN (SELECT store_id, count(*) AS orders FROM order_listing GROUP BY store_id) l ON l.store_id = d.store_id
 WHERE coalesce(d.given, 0) <> coalesce(l.orders, 0)
 ORDER BY 1;

-- name: audit_prices
SELECT 'prd_' || p.id AS key, p.price_minor || ' ' || p.currency AS why
  FROM products p WHERE p.id > $1 AND p.id <= $2 AND (p.price_minor < 0 OR p.currency !~ '^[A-Z]{3}$') ORDER BY p.id;

-- name: audit_slot_order
-- The lowest free slot is given, so whoever has slot n carried at least n others in that moment: by the order of the
-- feed, which is that of commits. What a batch frees can be taken from the next one on; five seconds are more than one.
WITH given AS (
    SELECT a.order_id, a.driver_id, a.slot, a.since, f.seq
      FROM assignment a
      JOIN driver_events f ON f.driver_id = a.driver_id AND f.order_id = a.order_id AND f.type = 'order.assigned' AND f.at = a.since
     WHERE a.driver_id > $1 AND a.driver_id <= $2
       AND a.slot >= (SELECT count(*) FROM assignment b WHERE b.driver_id = a.driver_id)
       AND (SELECT min(x.seq) = 1 OR min(x.at) < a.since - interval '1 day' FROM driver_events x WHERE x.driver_id = a.driver_id)
), others AS (
    SELECT g.*, (SELECT count(DISTINCT f.order_id) FROM driver_events f
                  WHERE f.driver_id = g.driver_id AND f.seq < g.seq AND f.type = 'order.assigned' AND f.order_id <> g.order_id
                    AND NOT EXISTS (SELECT FROM driver_events e
                                     WHERE e.driver_id = f.driver_id AND e.order_id = f.order_id AND e.seq > f.seq AND e.seq < g.seq
                                       AND e.at < g.since - interval '5 s'
                                       AND e.type IN ('order.released', 'order.delivered', 'order.undeliverable',
                                                      'order.cancelled'))) AS carried
      FROM given g
)
SELECT 'drv_' || driver_id AS key,
       'ord_' || order_id || ' is in slot ' || slot || ', but only ' || carried || ' others were carried then' AS why
  FROM others WHERE slot > carried ORDER BY driver_id, order_id;

-- name: audit_feed_once
SELECT 'drv_' || driver_id || ' seq ' || max(seq) AS key,
       type || ' of ord_' || order_id || ' version ' || (data ->> 'version') || ' is told ' || count(*) || ' times' AS why
  FROM driver_events
 WHERE driver_id > $1 AND driver_id <= $2 AND data ->> 'version' IS NOT NULL
 GROUP BY driver_id, order_id, type, data ->> 'version' HAVING count(*) > 1
 ORDER BY driver_id, max(seq);

-- name: audit_feed_order
-- Of one order. Entries of different orders bear times of decisions, which may be in another order than commits.
SELECT 'drv_' || driver_id || ' seq ' || seq AS key,
       type || ' of ord_' || order_id || ' version ' || version || ' comes after version ' || before AS why
  FROM (SELECT f.driver_id, f.seq, f.type, f.order_id, v.version,
               max(v.version) OVER (PARTITION BY f.driver_id, f.order_id ORDER BY f.seq
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
          FROM driver_events f CROSS JOIN LATERAL (
               SELECT CASE WHEN f.data ->> 'version' ~ '^[0-9]{1,9}$' THEN (f.data ->> 'version')::integer END AS version) v
         WHERE f.driver_id > $1 AND f.driver_id <= $2) x
 WHERE version < before ORDER BY driver_id, seq;

-- name: audit_feed_contents
-- $3, $4, $5: the transition table. An account that was deleted has left no address. What an entry says of its order is what the order's row and history say; what it does
-- not say (an area instead of an address) is not asked for.
WITH entry AS (
    SELECT f.driver_id, f.seq, f.type, f.order_id, f.at, f.data, o.store_id, o.payment, o.notes, o.address, o.total_minor,
           (SELECT u.status = 'deleted' FROM users u WHERE u.id = o.customer_id) AS gone,
           o.dropoff_lat, o.dropoff_lon, e.type AS event, e.version,
           (SELECT sum(i.quantity) FROM order_items i WHERE i.order_id = f.order_id) AS pieces,
           coalesce((SELECT t.after FROM order_events s
                       JOIN (SELECT DISTINCT m.event, m.after FROM unnest($3::text[], $4::text[], $5::text[]) AS m(before, event, after)) t
                         ON t.event = s.type
                      WHERE s.order_id = f.order_id AND s.version <= e.version ORDER BY s.version DESC LIMIT 1),
                    CASE WHEN o.payment = 'cash' OR o.total_minor = 0 THEN 'confirmed' ELSE 'awaiting_payment' END) AS status,
           (SELECT (s.data ->> 'ready_at_ms') FROM order_events s
             WHERE s.order_id = f.order_id AND s.version <= e.version AND s.type = 'ready_time_set'
             ORDER BY s.version DESC LIMIT 1) AS ready
      FROM driver_events f
      JOIN orders o ON o.id = f.order_id
      JOIN order_events e ON e.order_id = f.order_id AND e.version =
           CASE WHEN f.data ->> 'version' ~ '^[0-9]{1,9}$' THEN (f.data ->> 'version')::integer END
     WHERE f.driver_id > $1 AND f.driver_id <= $2 AND (f.type LIKE 'offer%' OR f.type LIKE 'order.%')
)
SELECT 'drv_' || driver_id || ' seq ' || seq AS key, type || ' of ord_' || order_id || ' has another ' || wrong AS why
  FROM entry CROSS JOIN LATERAL (SELECT concat_ws(', ',
           CASE WHEN data ->> 'order_id' IS DISTINCT FROM 'ord_' || order_id THEN 'order' END,
           CASE WHEN data ->> 'status' IS DISTINCT FROM status THEN 'status' END,
           CASE WHEN data #>> '{store,id}' IS DISTINCT FROM 'sto_' || store_id THEN 'store' END,
           CASE WHEN data ->> 'payment' IS DISTINCT FROM payment THEN 'payment' END,
           CASE WHEN data ->> 'items' IS DISTINCT FROM pieces::text THEN 'number of pieces' END,
           CASE WHEN gone IS NOT TRUE AND data ->> 'notes' IS NOT NULL AND data ->> 'notes' IS DISTINCT FROM notes THEN 'note' END,
           CASE WHEN gone IS NOT TRUE AND data #>> '{dropoff,address}' <> address THEN 'address' END,
           CASE WHEN gone IS NOT TRUE AND data #>> '{dropoff,address}' IS NOT NULL
                 AND (data #> '{dropoff,lat}' <> to_jsonb(dropoff_lat) OR data #> '{dropoff,lon}' <> to_jsonb(dropoff_lon))
                THEN 'place' END,
           CASE WHEN data #>> '{collect,amount_minor}' <> total_minor::text THEN 'amount' END,
           CASE WHEN ready IS NOT NULL AND jsonb_typeof(data -> 'pickups') IS DISTINCT FROM 'array'
                 AND data ->> 'ready_at_ms' IS DISTINCT FROM ready THEN 'ready time' END,
           CASE WHEN type LIKE 'offer%' AND coalesce(data ->> 'offer_id', '') NOT LIKE 'ofr\_' || order_id || '\_%' THEN 'offer' END
       ) AS wrong) w
 WHERE wrong <> '' ORDER BY driver_id, seq;

-- name: audit_feed_offers
-- $3: how many days entries are kept. Whoever was offered an order, or carried it when it was cancelled or its ready time
-- changed, was told so.
WITH event AS (
    SELECT e.order_id, e.version, e.type, e.at, e.trace, e.data FROM order_events e
     WHERE e.order_id > $1 AND e.order_id <= $2 AND e.type IN ('offered', 'cancelled', 'ready_time_set')
       AND e.at > now() - make_interval(days => $3::integer) + interval '1 hour'
), told AS (
    SELECT e.order_id, e.version, e.type, e.at, e.trace, 'offer' AS entry, 'drv_' || (d #>> '{}') AS driver
      FROM event e CROSS JOIN LATERAL jsonb_array_elements(
           CASE jsonb_typeof(e.data -> 'drivers') WHEN 'array' THEN e.data -> 'drivers' END) d
     WHERE e.type = 'offered' AND d #>> '{}' ~ '^[0-9]+$'
    UNION ALL
    SELECT e.order_id, e.version, e.type, e.at, e.trace,
           CASE e.type WHEN 'cancelled' THEN 'order.cancelled' ELSE 'order.ready_time' END, c.driver
      FROM event e CROSS JOIN LATERAL (
           SELECT CASE WHEN s.type <> 'released' THEN s.data ->> 'driver_id' END AS driver FROM order_events s
            WHERE s.order_id = e.order_id AND s.version < e.version AND s.type IN ('assigned', 'released', 'handed_over')
            ORDER BY s.version DESC LIMIT 1) c
     WHERE e.type IN ('cancelled', 'ready_time_set')
)
SELECT 'ord_' || t.order_id AS key,
       'version ' || t.version || ' (' || t.type || ') is not in the feed of ' || t.driver AS why
  FROM told t
 WHERE t.driver IS NOT NULL
   AND NOT EXISTS (SELECT FROM driver_events f
                    WHERE f.order_id = t.order_id AND f.type = t.entry AND f.at = t.at AND f.trace = t.trace
                      AND 'drv_' || f.driver_id = t.driver
                      AND f.at BETWEEN (SELECT min(x.at) FROM told x) AND (SELECT max(x.at) FROM told x))
 ORDER BY t.order_id, t.version;

-- name: audit_searches
-- What has no column of its own: how often drivers were asked, who has an offer until when, and who had one.
SELECT 'ord_' || o.id AS key, 'search is ' || left(o.search::text, 80) AS why
  FROM orders o
 WHERE o.id > $1 AND o.id <= $2 AND o.search IS NOT NULL
   AND NOT coalesce(
       jsonb_typeof(o.search) = 'object' AND o.search ->> 'wave' ~ '^[0-9]{1,9}$' AND o.search ->> 'count' ~ '^[0-9]{1,9}$'
       AND jsonb_typeof(o.search -> 'offers') = 'array' AND jsonb_typeof(o.search -> 'tried') = 'array'
       AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(o.search -> 'tried') WHEN 'array' THEN o.search -> 'tried' END) t
                        WHERE jsonb_typeof(t) <> 'number')
       AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(o.search -> 'offers') WHEN 'array' THEN o.search -> 'offers' END) x
                        WHERE NOT coalesce(jsonb_typeof(x) = 'array' AND x ->> 0 LIKE 'ofr\_' || o.id || '\_%'
                                           AND jsonb_typeof(x -> 1) = 'number' AND jsonb_typeof(x -> 2) = 'number', false)), false)
 ORDER BY o.id;

-- name: audit_offers
-- The offers that an order has had are numbered from 1, and it was offered as often as there are waves in the history.
WITH told AS (
    SELECT e.order_id, sum(jsonb_array_length(CASE jsonb_typeof(e.data -> 'drivers') WHEN 'array' THEN e.data -> 'drivers' ELSE '[]' END)) AS offers
      FROM order_events e WHERE e.order_id > $1 AND e.order_id <= $2 AND e.type = 'offered' GROUP BY e.order_id
)
SELECT 'ord_' || o.id AS key, coalesce(o.search ->> 'count', 'no') || ' offers, its history has ' || coalesce(t.offers, 0) AS why
  FROM orders o LEFT JOIN told t ON t.order_id = o.id
 WHERE o.id > $1 AND o.id <= $2 AND coalesce(o.search ->> 'count', '0') IS DISTINCT FROM coalesce(t.offers, 0)::text
 ORDER BY o.id;

-- name: audit_rounds
-- An order begins a new round with each release, and may with another mode or driver.
SELECT 'ord_' || o.id AS key, 'round ' || o.round || ', its history has ' || e.releases || ' releases' AS why
  FROM orders o CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE x.type = 'released') AS releases, count(*) AS turns
         FROM order_events x WHERE x.order_id = o.id AND x.type IN ('released', 'mode_set', 'handed_over')) e
 WHERE o.id > $1 AND o.id <= $2 AND o.round NOT BETWEEN e.releases + 1 AND e.turns + 1
 ORDER BY o.id;

-- name: audit_horizons
-- No timer stands further ahead than the longest wait there is; eight days are more than a zone can set.
SELECT 'ord_' || id AS key, 'due at ' || due_at AS why
  FROM orders WHERE id > $1 AND id <= $2 AND due_at > greatest(now(), updated_at) + interval '8 days'
UNION ALL
SELECT 'pay_' || id, 'due at ' || due_at
  FROM payments WHERE order_id > $1 AND order_id <= $2 AND due_at > greatest(now(), updated_at) + interval '1 day'
 ORDER BY 1;

-- name: audit_gateway
-- What holds money has a reference of its own at the gateway.
SELECT 'pay_' || p.id AS key, p.status || CASE WHEN p.gateway_ref IS NULL THEN ' without a reference' ELSE ', its reference is not its own' END AS why
  FROM payments p
 WHERE p.order_id > $1 AND p.order_id <= $2
   AND ((p.gateway_ref IS NULL AND p.status IN ('held', 'captured', 'refunding', 'refunded') AND p.amount_minor > 0)
        OR (SELECT count(*) FROM payments q WHERE q.gateway_ref = p.gateway_ref) > 1)
 ORDER BY p.id;

-- name: audit_payment_steps
-- Each step of a payment is a version: one that was captured is at least at its third.
SELECT 'pay_' || p.id AS key, p.status || ' at version ' || p.version AS why
  FROM payments p
 WHERE p.order_id > $1 AND p.order_id <= $2
   AND p.version < CASE p.status WHEN 'pending' THEN 1 WHEN 'held' THEN 2 WHEN 'declined' THEN 2 WHEN 'captured' THEN 3
                        WHEN 'voided' THEN 2 WHEN 'refunding' THEN 4 WHEN 'refunded' THEN 5 END
 ORDER BY p.id;

-- name: audit_payment_keys
-- What was answered under a payment's key is what became of it.
SELECT 'usr_' || k.principal_id || ' ' || k.route || ' ' || encode(k.key_hash, 'hex') AS key,
       'pay_' || coalesce(k.facts ->> 'id', '?') || CASE WHEN p.id IS NULL THEN ' is not under this key' ELSE ' is not as it was answered' END AS why
  FROM idempotency k
  LEFT JOIN payments p ON p.id = CASE WHEN k.facts ->> 'id' ~ '^[0-9]{1,18}$' THEN (k.facts ->> 'id')::bigint END
       AND p.principal_id = k.principal_id AND p.key_hash = k.key_hash
 WHERE k.principal_id > $1 AND k.principal_id <= $2 AND k.code IN ('pending', 'held', 'declined', 'voided', 'captured')
   AND (p.id IS NULL OR k.facts ->> 'order_id' IS DISTINCT FROM p.order_id::text
        OR k.facts ->> 'amount_minor' IS DISTINCT FROM p.amount_minor::text
        OR k.facts ->> 'currency' IS DISTINCT FROM p.currency OR k.facts ->> 'method' IS DISTINCT FROM p.method
        OR k.facts ->> 'status' IS DISTINCT FROM k.code
        OR (k.facts ->> 'decline_code' IS DISTINCT FROM p.decline_code AND k.code <> 'pending')
        OR (k.code = 'pending') <> (p.status = 'pending') OR (k.code = 'declined') <> (p.status = 'declined'))
UNION ALL
-- Keys are kept for a week.
SELECT 'pay_' || p.id, 'its key is not remembered'
  FROM payments p
 WHERE p.principal_id > $1 AND p.principal_id <= $2 AND p.created_at > now() - interval '6 days'
   AND NOT EXISTS (SELECT FROM idempotency k WHERE k.principal_id = p.principal_id AND k.key_hash = p.key_hash
                      AND k.principal_id > $1 AND k.principal_id <= $2)
 ORDER BY 1;

-- name: audit_roles
-- A driver may get another role while it is off duty and carries nothing; its user says then that it drove.
SELECT 'drv_' || coalesce(d.id, u.id) AS key,
       CASE WHEN d.id IS NULL THEN 'a driver without a driver''s row' ELSE 'its user is ' || coalesce('a ' || u.role, 'nobody') END AS why
  FROM (SELECT id, status FROM drivers WHERE id > $1 AND id <= $2) d
  FULL JOIN (SELECT id, role, drove FROM users WHERE id > $1 AND id <= $2) u ON u.id = d.id
 WHERE CASE WHEN d.id IS NULL THEN u.role = 'driver' ELSE u.id IS NULL END
    OR (d.id IS NOT NULL AND u.role <> 'driver'
        AND (NOT u.drove OR d.status = 'online' OR EXISTS (SELECT FROM assignment a WHERE a.driver_id = d.id)))
 ORDER BY coalesce(d.id, u.id);

-- name: audit_schema
-- As the migrations made it. Another major version of Postgres may write a definition in another way: then only what is
-- there is compared.
SELECT coalesce(n.kind, m.kind) || ' ' || coalesce(n.name, m.name) AS key,
       CASE WHEN n.name IS NULL THEN 'is missing' WHEN m.name IS NULL THEN 'was not made by a migration'
            ELSE 'is not as the migrations have made it' END AS why
  FROM schema_now n
  FULL JOIN (SELECT * FROM schema_made WHERE kind NOT IN ('revision', 'server')) m ON m.kind = n.kind AND m.name = n.name
 WHERE n.name IS NULL OR m.name IS NULL
    OR (md5(n.definition) <> m.definition
        AND current_setting('server_version_num')::integer / 10000 = (SELECT s.definition::integer FROM schema_made s WHERE s.kind = 'server'))
 ORDER BY 1;

-- name: audit_cluster
-- $1: how many shards this program has. The function's name is that of actors/shards.py.
SELECT 'cluster_meta' AS key,
       count(*) || ' rows, ' || coalesce(min(m.shards)::text, 'no') || ' shards by ' || coalesce(min(m.shard_fn), 'nothing') AS why
  FROM cluster_meta m
HAVING count(*) <> 1 OR min(m.shards) IS DISTINCT FROM $1::integer OR min(m.shard_fn) <> 'crc32/kind:number';

-- name: audit_epochs
-- $1: how many shards this program has. An epoch is 0 until the first claim, which signs it and bears its moment. Where
-- a clock was set back epochs run ahead of it, never behind the claim.
SELECT 'shard ' || coalesce(n, s.id) AS key,
       CASE WHEN s.id IS NULL THEN 'has no row' WHEN n IS NULL THEN 'should not be'
            ELSE 'epoch ' || s.epoch || ', claimed by ' || coalesce(s.incarnation, 'nobody') END AS why
  FROM generate_series(0, $1::integer - 1) n
  FULL JOIN (SELECT id, count(*) AS rows, min(epoch) AS epoch, min(incarnation) AS incarnation
               , min(round(extract(epoch FROM claimed_at) * 1000)) AS claimed_ms
               FROM shard GROUP BY id) s ON s.id = n
 WHERE s.id IS NULL OR n IS NULL OR s.rows > 1 OR s.epoch < 0 OR (s.epoch > 0 AND s.incarnation IS NULL)
    OR (s.epoch = 0) <> (s.claimed_ms IS NULL) OR s.epoch < s.claimed_ms
 ORDER BY coalesce(n, s.id);

-- name: audit_numbers
-- The sequence is no part of the snapshot: it is read later, and only ever ahead.
SELECT 'order_id_seq' AS key, 'at ' || coalesce(n.last, 0) || ', but there is ord_' || o.id AS why
  FROM (SELECT max(id) AS id FROM orders) o, (SELECT pg_sequence_last_value('order_id_seq'::regclass) AS last) n
 WHERE o.id > coalesce(n.last, 0);

-- name: audit_relayed
-- $3, $4: events of an order's history that others want to know, and their types in the log. An order that needs no
-- payment is confirmed when it is created. What the log does not reach back to is left out: what was before the outbox,
-- which begins with the first row that is known, and what was trimmed. Places are in the order of commits, and bear the
-- moments of decisions: an hour is far more than lies between.
WITH log_begin AS (
    SELECT CASE WHEN l.pos = 1 OR x.pos = 0 THEN least(l.at, b.at)
                WHEN l.pos IS NOT NULL THEN l.at + interval '1 hour' ELSE coalesce(b.at, 'infinity') END AS at
      FROM (SELECT max(pos) AS pos FROM event_log_end) x
      LEFT JOIN (SELECT pos, at FROM event_log ORDER BY pos LIMIT 1) l ON true
      LEFT JOIN (SELECT at FROM outbox ORDER BY id LIMIT 1) b ON true
), known AS MATERIALIZED (
    SELECT e.order_id, e.version, e.at, t.type
      FROM order_events e JOIN unnest($3::text[], $4::text[]) AS t(event, type) ON t.event = e.type
     WHERE e.order_id > $1 AND e.order_id <= $2
    UNION ALL
    SELECT e.order_id, e.version, e.at, 'order.confirmed'
      FROM order_events e JOIN orders o ON o.id = e.order_id
     WHERE e.order_id > $1 AND e.order_id <= $2 AND o.id > $1 AND o.id <= $2
       AND e.type = 'created' AND (o.payment = 'cash' OR o.total_minor = 0)
), logged AS MATERIALIZED (
    SELECT ref AS order_id, version, type, count(*) AS many
      FROM event_log WHERE ref > $1 AND ref <= $2 AND topic = 'order' AND type = ANY ($4::text[])
     GROUP BY ref, version, type
), waiting AS MATERIALIZED (
    SELECT ref AS order_id, version, count(*) AS many
      FROM outbox WHERE ref > $1 AND ref <= $2 AND topic = 'order' GROUP BY ref, version
), told AS (
    SELECT k.order_id, k.version, k.type, coalesce(l.many, 0) AS logged, coalesce(w.many, 0) AS waiting
      FROM known k
      LEFT JOIN logged l ON l.order_id = k.order_id AND l.version = k.version AND l.type = k.type
      LEFT JOIN waiting w ON w.order_id = k.order_id AND w.version = k.version
     WHERE k.at >= (SELECT at FROM log_begin)
), found AS (
    SELECT order_id, version, type || ' is ' || logged || ' times in the log and ' || waiting || ' times in the outbox' AS why
      FROM told WHERE logged + waiting <> 1
    UNION ALL
    SELECT l.order_id, l.version, l.type || ' is in the log and not in its history'
      FROM logged l LEFT JOIN known k ON k.order_id = l.order_id AND k.version = l.version AND k.type = l.type
     WHERE k.order_id IS NULL
    UNION ALL
    SELECT w.order_id, w.version, 'is in the outbox, and its history has no event that others want to know'
      FROM waiting w LEFT JOIN known k ON k.order_id = w.order_id AND k.version = w.version
     WHERE k.order_id IS NULL
)
SELECT 'ord_' || order_id AS key, 'version ' || version || ': ' || why AS why FROM found ORDER BY order_id, version, why;

-- name: audit_payment_events
-- A payment has no history. What it is tells that it was held, captured, let go or declined, and how often something was
-- given back. What the log does not reach back to is left out, as in audit_relayed.
WITH log_begin AS (
    SELECT CASE WHEN l.pos = 1 OR x.pos = 0 THEN least(l.at, b.at)
                WHEN l.pos IS NOT NULL THEN l.at + interval '1 hour' ELSE coalesce(b.at, 'infinity') END AS at
      FROM (SELECT max(pos) AS pos FROM event_log_end) x
      LEFT JOIN (SELECT pos, at FROM event_log ORDER BY pos LIMIT 1) l ON true
      LEFT JOIN (SELECT at FROM outbox ORDER BY id LIMIT 1) b ON true
), paid AS MATERIALIZED (
    SELECT p.id, p.status, p.stuck_code, p.updated_at, p.stuck_at, p.version
      FROM payments p WHERE p.order_id > $1 AND p.order_id <= $2
), event AS MATERIALIZED (
    SELECT l.ref AS id, l.version, l.type FROM event_log l JOIN paid p ON p.id = l.ref
     WHERE l.topic = 'payment' AND l.ref BETWEEN (SELECT min(id) FROM paid) AND (SELECT max(id) FROM paid)
    UNION ALL
    SELECT b.ref, b.version, 'payment.' || coalesce(b.data ->> 'event', '?')
      FROM outbox b JOIN paid p ON p.id = b.ref WHERE b.topic = 'payment'
), counted AS (
    SELECT id, type, count(*) AS many FROM event GROUP BY id, type
), wanted AS (
    SELECT p.id, 'payment.' || p.status AS type, 1::bigint AS least, 1::bigint AS most
      FROM paid p WHERE p.status IN ('held', 'declined', 'captured', 'voided') AND p.updated_at >= (SELECT at FROM log_begin)
       AND NOT EXISTS (SELECT FROM payment_refunds r WHERE r.payment_id = p.id)
    UNION ALL
    SELECT p.id, 'payment.stuck', 1, NULL
      FROM paid p WHERE p.stuck_code IS NOT NULL AND p.stuck_at >= (SELECT at FROM log_begin)
    UNION ALL
    SELECT r.payment_id, 'payment.refunded', count(*), NULL
      FROM payment_refunds r JOIN paid p ON p.id = r.payment_id
     WHERE r.status = 'done' AND r.amount_minor > 0 AND r.created_at >= (SELECT at FROM log_begin) GROUP BY r.payment_id
), found AS (
    SELECT w.id, w.type || ' is told ' || coalesce(c.many, 0) || ' times' AS why
      FROM wanted w LEFT JOIN counted c ON c.id = w.id AND c.type = w.type
     WHERE coalesce(c.many, 0) < w.least OR c.many > w.most
    UNION ALL
    SELECT id, 'version ' || version || ': ' || type || ' is told ' || count(*) || ' times'
      FROM event GROUP BY id, version, type HAVING count(*) > 1
    UNION ALL
    SELECT e.id, e.type || ' is told of version ' || e.version || ', which is to come'
      FROM event e JOIN paid p ON p.id = e.id WHERE e.version > p.version
)
SELECT 'pay_' || id AS key, why FROM found ORDER BY id, why;

-- name: audit_places
-- The body of an event names its place and its type.
WITH first AS (
    SELECT min(pos) AS pos FROM event_log
), event AS MATERIALIZED (
    SELECT e.pos, count(*) AS many,
           bool_and(position(convert_to('"sequence":' || e.pos || ',', 'UTF8') IN e.body) > 0
                    AND position(convert_to('"type":"' || e.type || '"', 'UTF8') IN e.body) > 0) AS named
      FROM event_log e WHERE e.pos > $1 AND e.pos <= $2 GROUP BY e.pos
)
SELECT 'evt_' || e.pos AS key,
       CASE WHEN e.many > 1 THEN 'is there ' || e.many || ' times' WHEN p.pos IS NULL THEN 'nothing is at the place before it'
            ELSE 'its body is of another event' END AS why
  FROM event e
  LEFT JOIN (SELECT DISTINCT pos FROM event_log WHERE pos >= $1 AND pos < $2) p ON p.pos = e.pos - 1
 WHERE e.many > 1 OR NOT e.named OR (p.pos IS NULL AND e.pos > (SELECT pos FROM first))
 ORDER BY e.pos;

-- name: audit_log_end
-- Trimming may leave nothing of the log; then its end still says which place is the next one.
SELECT 'event_log_end' AS key, x.many || ' rows, the last at ' || coalesce(x.pos::text, 'no place') || ', the log ends at '
       || coalesce(l.pos::text, 'no place') AS why
  FROM (SELECT count(*) AS many, max(pos) AS pos FROM event_log_end) x, (SELECT max(pos) AS pos FROM event_log) l
 WHERE x.many <> 1 OR x.pos < 0 OR l.pos <> x.pos;

-- name: audit_jobs
-- $3: for how many days attempts are kept.
SELECT 'job ' || j.id AS key,
       CASE WHEN j.worker IS NOT NULL AND (j.begun_at IS NULL OR j.due_at IS NULL OR j.attempts < 1) THEN 'in work without a lease'
            WHEN j.worker IS NULL AND j.begun_at IS NOT NULL THEN 'begun, and no worker has it'
            WHEN (j.due_at IS NULL) <> (j.died_at IS NOT NULL) THEN 'dead, or not: due and died say different things'
            WHEN j.attempts < 0 OR j.failures NOT BETWEEN 0 AND j.attempts OR j.deaths NOT BETWEEN 0 AND 3
              THEN j.attempts || ' attempts with ' || j.failures || ' failures and ' || j.deaths || ' deaths'
            ELSE 'dead without an attempt that says so' END AS why
  FROM jobs j
  LEFT JOIN (SELECT DISTINCT id FROM job_runs WHERE id > $1 AND id <= $2 AND outcome = 'dead') r ON r.id = j.id
 WHERE j.id > $1 AND j.id <= $2
   AND ((j.worker IS NOT NULL AND (j.begun_at IS NULL OR j.due_at IS NULL OR j.attempts < 1))
        OR (j.worker IS NULL AND j.begun_at IS NOT NULL)
        OR (j.due_at IS NULL) <> (j.died_at IS NOT NULL)
        OR j.attempts < 0 OR j.failures NOT BETWEEN 0 AND j.attempts OR j.deaths NOT BETWEEN 0 AND 3
        OR (r.id IS NULL AND j.died_at > now() - make_interval(days => $3::integer) + interval '1 hour'))
 ORDER BY j.id;

-- name: audit_turns
-- A dead job that somebody brought back is older than one that took its turn meanwhile.
SELECT 'job ' || j.id AS key, 'in work before job ' || min(e.id) || ' of ' || j.key AS why
  FROM jobs j JOIN jobs e ON e.key = j.key
 WHERE j.id > $1 AND j.id <= $2 AND j.worker IS NOT NULL AND j.due_at IS NOT NULL AND e.due_at IS NOT NULL AND e.id < j.id
   AND NOT EXISTS (SELECT FROM job_runs r WHERE r.id = e.id AND r.outcome = 'dead')
 GROUP BY j.id, j.key ORDER BY j.id;

-- name: audit_runs
SELECT 'job ' || r.id AS key,
       r.done || ' times done' || CASE WHEN j.id IS NOT NULL THEN ', and still there' ELSE '' END AS why
  FROM (SELECT id, count(*) AS done FROM job_runs WHERE id > $1 AND id <= $2 AND outcome = 'done' GROUP BY id) r
  LEFT JOIN (SELECT id FROM jobs WHERE id > $1 AND id <= $2) j ON j.id = r.id
 WHERE r.done > 1 OR j.id IS NOT NULL
 ORDER BY r.id;

-- name: audit_cursors
-- A lease doubles up to half an hour. A receiver may ask for a pause of a day; ours are up to 30 hours long.
SELECT 'whk_' || e.id AS key,
       CASE WHEN e.reached > l.pos THEN 'is at ' || e.reached || ', the log ends at ' || l.pos
            WHEN e.gapless_from > e.reached OR e.reached < 0 THEN 'is at ' || e.reached || ', without a gap from ' || e.gapless_from
            WHEN e.leased_until IS NOT NULL AND (e.sender IS NULL OR e.claim < 1) THEN 'leased to nobody'
            WHEN e.unsettled > e.claim OR e.unsettled < 0 OR e.step < 0 THEN e.claim || ' claims, ' || e.unsettled || ' not settled'
            WHEN e.leased_until > now() + interval '1 hour' THEN 'leased until ' || e.leased_until
            ELSE 'due at ' || e.due_at END AS why
  FROM webhook_endpoints e, (SELECT max(pos) AS pos FROM event_log_end) l
 WHERE e.reached > l.pos OR e.gapless_from > e.reached OR e.reached < 0
    OR (e.leased_until IS NOT NULL AND (e.sender IS NULL OR e.claim < 1))
    OR e.unsettled > e.claim OR e.unsettled < 0 OR e.step < 0
    OR e.leased_until > now() + interval '1 hour'
    OR (e.disabled_at IS NULL AND e.due_at > now() + interval '31 hours')
 ORDER BY e.id;

-- name: audit_deliveries
-- Attempts and dead letters are kept for 30 days, and are never older than their event. What lies at or below gapless_from
-- was passed over by the wish of a person, or was not wanted then. An event may be above the cursor of an endpoint that is
-- disabled, claimed, or due. Endpoints and events find each other by store, or by type, so that nobody compares all with
-- all: 0 is the store of an endpoint that hears of all, '' the type.
WITH event AS MATERIALIZED (
    SELECT g.pos, g.type, g.zone_id, g.store_ids, g.at FROM event_log g WHERE g.pos > $1 AND g.pos <= $2
), of_store AS (
    SELECT g.pos, 0::bigint AS store_id FROM event g
    UNION
    SELECT g.pos, s FROM event g CROSS JOIN unnest(g.store_ids) s
), hears_of AS (
    SELECT e.id, s AS store_id
      FROM webhook_endpoints e
     CROSS JOIN unnest(CASE WHEN e.owner_store_id IS NOT NULL THEN ARRAY[e.owner_store_id]
                            WHEN e.store_ids <> '{}' THEN e.store_ids ELSE ARRAY[0::bigint] END) s
), wanted AS MATERIALIZED (
    SELECT DISTINCT e.id, g.pos, true AS passed
      FROM hears_of h
      JOIN of_store o ON o.store_id = h.store_id
      JOIN webhook_endpoints e ON e.id = h.id
      JOIN event g ON g.pos = o.pos
     WHERE g.pos > e.gapless_from AND g.pos <= e.reached AND g.at > now() - interval '30 days' + interval '1 hour'
       AND (e.types = '{}' OR g.type = ANY (e.types)) AND (e.zone_ids = '{}' OR g.zone_id = ANY (e.zone_ids))
       AND (e.store_ids = '{}' OR g.store_ids && e.store_ids)
    UNION ALL
    SELECT DISTINCT i.id, g.pos, false
      FROM (SELECT e.id, e.reached, t AS type
              FROM webhook_endpoints e CROSS JOIN unnest(CASE e.types WHEN '{}' THEN ARRAY[''] ELSE e.types END) t
             WHERE e.disabled_at IS NULL AND e.due_at IS NULL AND e.reached < (SELECT max(pos) FROM event)) i
      JOIN (SELECT pos, type FROM event UNION ALL SELECT pos, '' FROM event) g ON g.type = i.type
     WHERE g.pos > i.reached
), ended AS (
    SELECT a.endpoint_id AS id, a.pos FROM webhook_attempts a
     WHERE a.pos BETWEEN (SELECT min(pos) FROM wanted) AND (SELECT max(pos) FROM wanted)
       AND a.status BETWEEN 200 AND 299 AND a.message = 'evt_' || a.pos
    UNION ALL
    SELECT d.endpoint_id, d.pos FROM webhook_dead_letters d WHERE d.pos > $1 AND d.pos <= $2
)
SELECT 'whk_' || w.id AS key,
       min(CASE WHEN w.passed THEN 'has passed ' ELSE 'was not woken by ' END) || count(*) || ' events, the first evt_' || min(w.pos) AS why
  FROM wanted w
 WHERE NOT EXISTS (SELECT FROM ended x WHERE x.id = w.id AND x.pos = w.pos)
 GROUP BY w.id, w.passed ORDER BY w.id, w.passed DESC;

-- name: audit_notices
-- A dead job may be brought back, and sends its notice then, which is dead until it is sent.
SELECT 'notice ' || n.id AS key,
       CASE WHEN n.status = 'wanted' AND j.due_at IS NULL
              THEN 'is wanted, and ' || CASE WHEN j.id IS NULL THEN 'no job sends it' ELSE 'its job is dead' END
            WHEN (n.status = 'sent') <> (n.sent_at IS NOT NULL) THEN 'is ' || n.status || ', sent at ' || coalesce(n.sent_at::text, 'no time')
            ELSE 'is ' || n.status || ', and nothing says why' END AS why
  FROM notices n LEFT JOIN jobs j ON j.id = n.job_id
 WHERE n.id > $1 AND n.id <= $2
   AND (n.status = 'wanted' AND j.due_at IS NULL OR (n.status = 'sent') <> (n.sent_at IS NOT NULL)
        OR n.status IN ('dropped', 'dead') AND n.why IS NULL)
 ORDER BY n.id;
