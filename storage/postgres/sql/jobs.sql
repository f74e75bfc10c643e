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
  LEFT JOIN orders o ON o.id = CASE b.topic WHEN 'order' THEN b.ref WHEN 'payment' THEN (b.data ->> 'order')::bigint END
  LEFT JOIN products p ON b.topic = 'stock' AND p.id = b.ref
  LEFT JOIN stores s ON s.id = p.store_id
 ORDER BY b.id;

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
SELECT end_former_workers($1::text, $2::text);

-- name: set_schedules
SELECT set_schedules($1::jsonb);

-- name: fire_schedules
SELECT fire_schedules($1::text[]);

-- name: trim_jobs
SELECT trim_jobs($1::integer, $2::integer, $3::integer);

-- name: jobs_backlog
-- Of each task: jobs that may be taken, the age of the oldest of them, jobs under way, put off, and dead.
SELECT j.task, count(*) FILTER (WHERE j.worker IS NULL AND j.due_at <= now()) AS waiting,
       coalesce(extract(epoch FROM now() - min(j.due_at) FILTER (WHERE j.worker IS NULL AND j.due_at <= now())), 0)::double precision
           AS oldest_s,
       count(*) FILTER (WHERE j.worker IS NOT NULL) AS running,
       count(*) FILTER (WHERE j.worker IS NULL AND j.due_at > now()) AS scheduled,
       count(*) FILTER (WHERE j.due_at IS NULL) AS dead
  FROM jobs j GROUP BY j.task;

-- name: outbox_backlog
-- Rows of the outbox, as estimated where there are many, and the age of the oldest.
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 10000) b) AS many,
       coalesce(extract(epoch FROM now() - (SELECT at FROM outbox ORDER BY id LIMIT 1)), 0)::double precision AS oldest_s;
