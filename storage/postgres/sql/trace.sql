-- The story of a trace id: what one request has caused, for `run.py trace`. The trace of a row may have a span behind its
-- id (actors/tracing.py): from the id to before id || 'g', in any collation and by an index.

-- name: trace_orders
-- Orders that a trace has touched, as far as an index finds them: the history of orders has none by trace.
(SELECT order_id FROM event_log WHERE trace >= $1::text AND trace < $1 || 'g' AND order_id IS NOT NULL
  UNION
 SELECT (payload ->> 'order_id')::bigint FROM jobs
  WHERE trace >= $1 AND trace < $1 || 'g' AND jsonb_typeof(payload -> 'order_id') = 'number'
  UNION
 SELECT e.order_id
   FROM (SELECT ref, version FROM outbox WHERE topic = 'order' ORDER BY id DESC LIMIT 10000) b
   JOIN order_events e ON e.order_id = b.ref AND e.version = b.version
  WHERE e.trace >= $1 AND e.trace < $1 || 'g')
 LIMIT 100;

-- name: trace_entries
-- What the tables say of a trace: its changes of these orders, and whatever has its id. At most $3 of each table, the
-- oldest. `rank` says what comes first at the same time.
WITH changes AS (
    SELECT e.at, 1 AS rank, 'order_events' AS place, e.type AS what,
           jsonb_build_object('order_id', e.order_id, 'version', e.version, 'by', e.actor_role, 'actor_id', e.actor_id,
                              'reason', e.reason) AS facts
      FROM order_events e WHERE e.order_id = ANY ($2::bigint[]) AND e.trace >= $1::text
       AND e.trace < $1 || 'g' ORDER BY e.at, e.version LIMIT $3::integer
), payment AS (
    SELECT p.updated_at, 2, 'payments', p.status,
           jsonb_build_object('payment_id', p.id, 'order_id', p.order_id, 'amount_minor', p.amount_minor,
                              'currency', p.currency)
      FROM payments p WHERE p.order_id = ANY ($2) AND p.trace >= $1 AND p.trace < $1 || 'g' ORDER BY p.updated_at LIMIT $3
), waiting AS (
    SELECT b.at, 3, 'outbox', 'waits', jsonb_build_object('topic', b.topic, 'ref', b.ref, 'version', b.version)
      FROM outbox b LEFT JOIN order_events e ON b.topic = 'order' AND e.order_id = b.ref AND e.version = b.version
     WHERE b.id > (SELECT max(id) FROM outbox) - 10000 AND left(coalesce(b.trace, e.trace), 32) = $1 ORDER BY b.id LIMIT $3
), events AS (
    SELECT l.at, 4, 'event_log', l.type,
           jsonb_build_object('sequence', l.pos, 'topic', l.topic, 'ref', l.ref, 'version', l.version,
                              'order_id', l.order_id)
      FROM event_log l WHERE l.trace >= $1 AND l.trace < $1 || 'g' ORDER BY l.pos LIMIT $3
), added AS (
    SELECT j.created_at, 5, 'jobs', 'added',
           jsonb_build_object('job_id', j.id, 'task', j.task, 'key', j.key, 'attempts', j.attempts, 'deaths', j.deaths,
               'state', CASE WHEN j.due_at IS NULL THEN 'dead' WHEN j.worker IS NOT NULL THEN 'running' ELSE 'waiting' END,
               'due_at', j.due_at, 'error', j.error)
      FROM jobs j WHERE j.trace >= $1 AND j.trace < $1 || 'g' ORDER BY j.id LIMIT $3
), runs AS (
    SELECT r.at, 6, 'job_runs', r.outcome,
           jsonb_build_object('job_id', r.id, 'task', r.task, 'attempt', r.attempt, 'worker', r.worker,
                              'took_ms', r.took_ms, 'error', r.error)
      FROM job_runs r WHERE r.trace >= $1 AND r.trace < $1 || 'g' ORDER BY r.at LIMIT $3
), noticed AS (
    SELECT coalesce(n.sent_at, n.created_at), 7, 'notices', n.status,
           jsonb_build_object('notice', n.id, 'type', n.type, 'channel', n.channel, 'order_id', n.order_id, 'version', n.version,
                              'user_id', nullif(n.user_id, 0), 'store_id', nullif(n.store_id, 0), 'job_id', n.job_id,
                              'why', n.why)
      FROM notices n WHERE n.topic IN ('order', 'payment') AND n.order_id = ANY ($2) AND n.trace >= $1 AND n.trace < $1 || 'g'
     ORDER BY n.created_at LIMIT $3
), hooks AS (
    SELECT a.at, 8, 'webhook_attempts', coalesce(a.status::text, 'no answer'),
           jsonb_build_object('webhook_id', a.endpoint_id, 'message', a.message, 'took_ms', a.took_ms, 'error', a.error)
      FROM event_log l JOIN webhook_attempts a ON a.pos = l.pos WHERE l.trace >= $1 AND l.trace < $1 || 'g'
     ORDER BY a.id LIMIT $3
)
SELECT at, place, what, jsonb_strip_nulls(facts) AS facts
  FROM (TABLE changes UNION ALL TABLE payment UNION ALL TABLE waiting UNION ALL TABLE events UNION ALL TABLE added
        UNION ALL TABLE runs UNION ALL TABLE noticed UNION ALL TABLE hooks) x
 ORDER BY at, rank;

-- name: order_story
-- The history of an order with its reasons, in order; the first thousand versions.
SELECT version, type, actor_role, actor_id, reason, at, data,
       (SELECT zone_id FROM orders WHERE id = $1) AS zone_id
  FROM order_events WHERE order_id = $1 ORDER BY version LIMIT 1000;
