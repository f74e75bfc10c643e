-- Statements for a database that was restored from a backup (restoring.py). They run as its owner.

-- name: connected_programs
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name IN ('mall', 'mall listener');

-- name: renew_cluster
-- Clients resume their feeds by epoch: another one has them begin with a snapshot. The secret names the cluster in Redis,
-- so leases and caches of the time before are not read; links of instances and cursors of pages under it are refused.
UPDATE cluster_meta SET feed_epoch = substr(md5(gen_random_uuid()::text), 1, 12),
       peer_secret = replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
RETURNING feed_epoch;

-- name: mark_days_of_log
-- Figures of days are computed from the log; what it says is noted before it goes.
SELECT mark_report_days(2000000000);

-- name: empty_log
DELETE FROM event_log;

-- name: skip_places
-- A place names an event for ever, and receivers of webhooks know those of lost ones. The log begins anew far above them:
-- whoever asks for an older place is told that it is gone, and nobody waits for one.
WITH log AS (UPDATE event_log_end SET pos = pos + $1 RETURNING pos),
     hooks AS (UPDATE webhook_endpoints e SET reached = log.pos FROM log)
UPDATE report_cursor c SET pos = log.pos FROM log;

-- name: skip_numbers
-- The gateway remembers lost payments by their numbers: under the same key it would do nothing for another one.
SELECT count(setval(s.oid::regclass, coalesce(pg_sequence_last_value(s.oid::regclass), 0) + $1::bigint))
  FROM pg_class s
 WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace;
