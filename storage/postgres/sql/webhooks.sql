-- Webhooks and the log of events; every change goes through a function of functions/webhooks.sql.

-- name: webhook_next_id
SELECT nextval('webhook_endpoint_id_seq');

-- name: webhook_create
SELECT create_webhook($1, $2, $3::jsonb, $4);

-- name: webhook_get
SELECT * FROM webhook_rows WHERE id = $1;

-- name: webhook_change
SELECT change_webhook($1, $2::text[], $3::jsonb);

-- name: webhook_delete
SELECT delete_webhook($1, $2::text[]);

-- name: webhook_rotate
SELECT rotate_webhook_secret($1, $2, $3);

-- name: webhook_enable
SELECT enable_webhook($1, $2);

-- name: webhook_ping
SELECT ping_webhook($1, $2);

-- name: webhook_replay
SELECT replay_webhook($1, $2::jsonb, $3);

-- name: webhook_dead_letter
SELECT pos FROM webhook_dead_letters WHERE endpoint_id = $1 AND pos = $2;

-- name: webhook_unknown_filters
-- Zones and stores of a filter that do not exist.
SELECT ARRAY(SELECT z FROM unnest($1::bigint[]) z WHERE NOT EXISTS (SELECT FROM zones WHERE id = z)) AS zone_ids,
       ARRAY(SELECT s FROM unnest($2::bigint[]) s WHERE NOT EXISTS (SELECT FROM stores WHERE id = s)) AS store_ids;

-- name: webhooks_claim
SELECT * FROM claim_webhooks($1, $2, $3, $4);

-- name: webhooks_end_former
SELECT end_former_senders($1, $2);

-- name: webhooks_settle
SELECT settle_webhooks($1::jsonb, $2);

-- name: webhook_events
-- Events after $1 that pass the filters, of the next $7 in the log, at most $8; in each row the first and the last position
-- of the log. Without such an event one row with these alone.
SELECT l.pos AS log_end, coalesce((SELECT min(g.pos) FROM event_log g), l.pos + 1) AS log_begin, e.*
  FROM event_log_end l
  LEFT JOIN LATERAL (
      SELECT g.pos, g.type, g.body, g.trace FROM event_log g
       WHERE g.pos > $1 AND g.pos <= $1 + $7::bigint AND g.pos <= $2::bigint
         AND ($3::text[] = '{}' OR g.type = ANY ($3::text[]))
         AND ($4::bigint[] = '{}' OR g.zone_id = ANY ($4::bigint[]))
         AND ($5::bigint[] = '{}' OR g.store_ids && $5::bigint[])
         AND ($6::bigint IS NULL OR $6::bigint = ANY (g.store_ids))
       ORDER BY g.pos LIMIT $8::integer) e ON true
 ORDER BY e.pos;

-- name: trim_webhooks
SELECT trim_webhooks($1::integer);

-- name: webhooks_backlog
-- For gauges: endpoints, those that fail and those that are disabled; how far the one that is farthest behind is.
SELECT count(*) AS many, count(*) FILTER (WHERE e.failures > 0 AND e.disabled_at IS NULL) AS failing,
       count(*) FILTER (WHERE e.disabled_at IS NOT NULL) AS disabled,
       coalesce(max(l.pos - e.reached) FILTER (WHERE e.disabled_at IS NULL), 0)::bigint AS behind,
       coalesce(max(extract(epoch FROM now() - w.at)) FILTER (WHERE e.disabled_at IS NULL), 0)::double precision AS behind_s,
       (SELECT count(*) FROM webhook_dead_letters) AS dead_letters
  FROM webhook_endpoints e CROSS JOIN event_log_end l
  LEFT JOIN LATERAL (SELECT g.at FROM event_log g WHERE g.pos > e.reached ORDER BY g.pos LIMIT 1) w ON true;

-- name: events_page
-- Events after $1, at most $3, of these types or of all, among the next $4 of the log; with its first and last position.
SELECT l.pos AS log_end, coalesce((SELECT min(g.pos) FROM event_log g), l.pos + 1) AS log_begin, e.*
  FROM event_log_end l
  LEFT JOIN LATERAL (
      SELECT g.pos, g.type, g.body, g.trace FROM event_log g
       WHERE g.pos > $1 AND g.pos <= $1 + $4::bigint AND ($2::text[] = '{}' OR g.type = ANY ($2::text[]))
       ORDER BY g.pos LIMIT $3::integer) e ON true
 ORDER BY e.pos;
