-- Background work: the outbox as the relay reads it, and the calls of functions/jobs.sql and functions/relay.sql.

-- name: outbox_due
-- The oldest rows of the outbox with the facts of their subjects, which do not change, and the end of the log.
SELECT b.id, b.topic, b.ref, b.version, b.data, coalesce(b.trace, e.trace) AS trace,
       (extract(epoch FROM coalesce(e.at, b.at)) * 1000)::bigint AS at_ms,
       e.type AS event, e.actor_role, e.actor_id, e.reason, e.data AS event_data,
       o.id AS order_id, o.zone_id, o.customer_id, o.total_minor, o.currency, o.payment, o.driver_pay_minor,
       o.pickups, p.store_id, p.name AS product_name, s.zone_id AS product_zone_id,
       (SELECT pos FROM event_log_end) AS log_end
  FROM (SELECT * FROM outbox ORDER BY id LIMIT $1::integer) b
  LEFT JOIN order_events e ON b.topic = 'order' AND e.order_id = b.ref AND e.version = b.version
  LEFT JOIN orders o ON o.id = CASE b.topic WHEN 'order' THEN b.ref WHEN 'alert' THEN b.ref WHEN 'payment' THEN (b.data ->> 'order')::bigint END
  LEFT JOIN products p ON b.topic = 'stock' AND p.id = b.ref
  LEFT JOIN stores s ON s.id = p.store_id
 ORDER BY b.id;

-- name: announce_outbox
SELECT pg_notify('mall_outbox', '');

-- name: relay_outbox
SELECT relay_outbox($1::bigint, $2::jsonb);

-- name: enqueue_jobs
SELECT enqueue_jobs($1::jsonb);

-- name: claim_jobs
SELECT claim_jobs($1::text, $2::text[], $3::integer[], $4::double precision, $5::boolean);

-- name: finish_jobs
SELECT finish_jobs($1::text, $2::jsonb);

-- name: extend_jobs
SELECT extend_jobs($1::text, $2::bigint[], $3::integer[], $4::double precision);

-- name: end_former_workers
SELECT end_former_workers($1::text, $2::text, $3::text, $4::bigint);

-- name: set_schedules
SELECT set_schedules($1::jsonb);

-- name: fire_schedules
SELECT fire_schedules($1::text[]);

-- name: trim_jobs
SELECT trim_jobs($1::integer, $2::integer, $3::integer);

-- name: jobs_backlog
-- Of each of these tasks: jobs by state, each counted to 10,000, and how long the longest has waited; NULL: none waits.
SELECT t.task, w.many AS waiting, extract(epoch FROM now() - o.due_at)::double precision AS oldest_s,
       r.many AS running, s.many - r.many AS scheduled, d.many AS dead
  FROM unnest($1::text[]) AS t(task)
 CROSS JOIN LATERAL (SELECT count(*) AS many FROM (
       SELECT FROM jobs j WHERE j.task = t.task AND j.due_at <= now() LIMIT 10000) x) w
 CROSS JOIN LATERAL (SELECT (SELECT j.due_at FROM jobs j WHERE j.task = t.task AND j.due_at <= now()
                              ORDER BY j.due_at LIMIT 1) AS due_at) o
 CROSS JOIN LATERAL (SELECT count(*) AS many FROM (
       SELECT FROM jobs j WHERE j.task = t.task AND j.due_at > now() LIMIT 10000) x) s
 CROSS JOIN LATERAL (SELECT count(*) AS many FROM (
       SELECT FROM jobs j WHERE j.worker IS NOT NULL AND j.task = t.task AND j.due_at > now() LIMIT 10000) x) r
 CROSS JOIN LATERAL (SELECT count(*) AS many FROM (
       SELECT FROM jobs j WHERE j.task = t.task AND j.due_at IS NULL LIMIT 10000) x) d;

-- name: dead_jobs_since
-- Of each task: jobs that died within so many seconds, and the error of the latest.
SELECT task, count(*) AS many, (array_agg(error ORDER BY died_at DESC))[1] AS error
  FROM jobs WHERE due_at IS NULL AND died_at > now() - make_interval(secs => $1::double precision)
 GROUP BY task ORDER BY task LIMIT 20;

-- name: open_orders
-- Of each zone and state: orders that have not ended, and the age of the oldest.
SELECT o.zone_id, o.status, count(*) AS many,
       greatest(0, extract(epoch FROM now() - min(o.created_at)))::double precision AS oldest_s
  FROM orders o WHERE o.status IN ('awaiting_payment', 'confirmed', 'assigned', 'picked_up')
 GROUP BY o.zone_id, o.status;

-- name: online_drivers
-- Of each zone: drivers that are online, and those of them that cannot be reached.
SELECT d.zone_id, count(*) AS online, count(d.unreachable_at) AS unreachable
  FROM drivers d WHERE d.zone_id = ANY (ARRAY(SELECT id FROM zones)) AND d.status = 'online' GROUP BY d.zone_id;

-- name: outbox_backlog
-- Rows of the outbox, as estimated where there are many, and the age of the oldest.
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 10000) b) AS many,
       coalesce(extract(epoch FROM now() - (SELECT at FROM outbox ORDER BY id LIMIT 1)), 0)::double precision AS oldest_s;
