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
           coalesce(c.before, CASE o.payment WHEN 'cash' THEN 'confirmed' ELSE 'awaiting_payment' END) AS before
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
           coalesce(t.status, CASE o.payment WHEN 'cash' THEN 'confirmed' ELSE 'awaiting_payment' END) AS told_status
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
  FROM (SELECT id, total_minor FROM orders WHERE id > $1 AND id <= $2) o
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
        OR (p.status IN ('captured', 'refunding', 'refunded') AND o.status <> 'delivered' AND p.settled IS NULL)
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
 WHERE o.id > $1 AND o.id <= $2 AND o.payment = 'card' AND o.status NOT IN ('awaiting_payment', 'cancelled')
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
       CASE WHEN l.id IS NULL THEN 'not listed' WHEN o.id IS NULL THEN 'listed, but there is no order'
            ELSE 'listed by another time, customer, zone or store' END AS why
  FROM (SELECT * FROM orders WHERE id > $1 AND id <= $2) o
  FULL JOIN (SELECT * FROM order_listing WHERE id > $1 AND id <= $2) l ON l.id = o.id
 WHERE (o.id, o.created_at, o.customer_id, o.zone_id, o.store_id)
       IS DISTINCT FROM (l.id, l.created_at, l.customer_id, l.zone_id, l.store_id)
 ORDER BY coalesce(o.id, l.id);

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
-- An entry is written by the commit of the event that it tells of, with its time and its trace.
SELECT 'drv_' || f.driver_id || ' seq ' || f.seq AS key,
       f.type || ' of ord_' || f.order_id || ' version ' || coalesce(f.data ->> 'version', 'none')
       || CASE WHEN o.id IS NULL THEN ', which is no order' ELSE ', where the history has '
          || coalesce(e.type || ' of ' || coalesce(e.data ->> 'driver_id', e.actor_id), 'nothing') END AS why
  FROM driver_events f
  LEFT JOIN orders o ON o.id = f.order_id
  LEFT JOIN order_events e ON e.order_id = f.order_id AND e.version =
       CASE WHEN f.data ->> 'version' ~ '^[0-9]{1,9}$' THEN (f.data ->> 'version')::integer END
  LEFT JOIN (VALUES ('offer', 'offered'), ('offer.ready_time', 'ready_time_set'), ('order.ready_time', 'ready_time_set'),
                    ('order.assigned', 'assigned'), ('order.released', 'released'), ('order.picked_up', 'picked_up'),
                    ('order.delivered', 'delivered'), ('order.undeliverable', 'failed'), ('order.cancelled', 'cancelled')
            ) AS t(entry, event) ON t.entry = f.type
 WHERE f.driver_id > $1 AND f.driver_id <= $2
   AND (o.id IS NULL
        OR t.event IS NOT NULL AND (e.type IS DISTINCT FROM t.event OR e.at <> f.at OR e.trace <> f.trace)
        OR t.event IN ('assigned', 'released') AND e.data ->> 'driver_id' IS DISTINCT FROM 'drv_' || f.driver_id
        OR t.event IN ('picked_up', 'delivered', 'failed') AND e.actor_id <> 'drv_' || f.driver_id)
 ORDER BY f.driver_id, f.seq;

-- name: audit_feed_news
-- $3: how many days entries are kept. The other way round: what a carrier's feed must have been told.
WITH told AS (
    SELECT e.order_id, e.version, e.type, e.at, e.trace,
           CASE WHEN e.type IN ('assigned', 'released') THEN e.data ->> 'driver_id' ELSE e.actor_id END AS driver,
           CASE e.type WHEN 'failed' THEN 'order.undeliverable' ELSE 'order.' || e.type END AS entry
      FROM order_events e
     WHERE e.order_id > $1 AND e.order_id <= $2
       AND e.type IN ('assigned', 'released', 'picked_up', 'delivered', 'failed')
       AND e.at > now() - make_interval(days => $3::integer) + interval '1 hour'
)
SELECT 'ord_' || t.order_id AS key,
       'version ' || t.version || ' (' || t.type || ') is not in the feed of ' || coalesce(t.driver, 'nobody') AS why
  FROM told t
 WHERE NOT EXISTS (SELECT FROM driver_events f
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
 ORDER BY k.principal_id, k.route, k.key_hash;

-- name: audit_stock
SELECT 'prd_' || p.id AS key, p.stock || ' in stock' AS why
  FROM products p WHERE p.id > $1 AND p.id <= $2 AND p.stock < 0 ORDER BY p.id;

-- name: audit_prices
SELECT 'prd_' || p.id AS key, p.price_minor || ' ' || p.currency AS why
  FROM products p WHERE p.id > $1 AND p.id <= $2 AND (p.price_minor < 0 OR p.currency !~ '^[A-Z]{3}$') ORDER BY p.id;

-- name: audit_cluster
-- $1: how many shards this program has. The function's name is that of actors/shards.py.
SELECT 'cluster_meta' AS key,
       count(*) || ' rows, ' || coalesce(min(m.shards)::text, 'no') || ' shards by ' || coalesce(min(m.shard_fn), 'nothing') AS why
  FROM cluster_meta m
HAVING count(*) <> 1 OR min(m.shards) IS DISTINCT FROM $1::integer OR min(m.shard_fn) <> 'crc32/kind:number';

-- name: audit_epochs
-- $1: how many shards this program has. An epoch is 0 until the first claim, which signs it.
SELECT 'shard ' || coalesce(n, s.id) AS key,
       CASE WHEN s.id IS NULL THEN 'has no row' WHEN n IS NULL THEN 'should not be'
            ELSE 'epoch ' || s.epoch || ', claimed by ' || coalesce(s.incarnation, 'nobody') END AS why
  FROM generate_series(0, $1::integer - 1) n
  FULL JOIN (SELECT id, count(*) AS rows, min(epoch) AS epoch, min(incarnation) AS incarnation
               FROM shard GROUP BY id) s ON s.id = n
 WHERE s.id IS NULL OR n IS NULL OR s.rows > 1 OR s.epoch < 0 OR (s.epoch > 0 AND s.incarnation IS NULL)
 ORDER BY coalesce(n, s.id);

-- name: audit_numbers
-- The sequence is no part of the snapshot: it is read later, and only ever ahead.
SELECT 'order_id_seq' AS key, 'at ' || coalesce(n.last, 0) || ', but there is ord_' || o.id AS why
  FROM (SELECT max(id) AS id FROM orders) o, (SELECT pg_sequence_last_value('order_id_seq'::regclass) AS last) n
 WHERE o.id > coalesce(n.last, 0);
