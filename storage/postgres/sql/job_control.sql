-- Jobs as people see them, and what they do to them: the calls of functions/job_control.sql.

-- name: retry_jobs
SELECT retry_jobs($1::jsonb);

-- name: discard_jobs
SELECT discard_jobs($1::jsonb);

-- name: set_job_pause
SELECT set_job_pause($1::jsonb);

-- name: set_schedule
SELECT set_schedule($1::jsonb);

-- name: note_job_tasks
SELECT note_job_tasks($1::text[]);

-- name: job_get
-- A job, or what is left of one that is gone: its newest 100 runs, and what people did to it.
SELECT $1::bigint AS id, coalesce(j.task, u.task) AS task, coalesce(j.key, u.key) AS key, j.payload,
       coalesce(j.trace, u.trace) AS trace, coalesce(j.attempts, u.attempt) AS attempts, j.failures, j.deaths, j.error,
       coalesce(j.state, u.outcome) AS state, j.worker, j.created_ms, j.due_ms, j.begun_ms, j.died_ms,
       (SELECT min(e.id) FROM jobs e WHERE e.key = j.key AND e.id < j.id AND e.due_at IS NOT NULL) AS behind,
       coalesce((SELECT jsonb_agg(r) FROM (
           SELECT r.attempt, r.outcome, r.worker, (extract(epoch FROM r.at) * 1000)::bigint AS at_ms, r.took_ms, r.error
             FROM job_runs r WHERE r.id = $1 ORDER BY r.attempt DESC, r.at DESC LIMIT 100) r), '[]') AS runs,
       coalesce((SELECT jsonb_agg(a) FROM (
           SELECT a.action, a.by, (extract(epoch FROM a.at) * 1000)::bigint AS at_ms
             FROM job_actions a WHERE a.target -> 'ids' @> jsonb_build_array($1::bigint)
            ORDER BY a.id DESC LIMIT 20) a), '[]') AS actions
  FROM (SELECT) one
  LEFT JOIN job_rows j ON j.id = $1
  LEFT JOIN LATERAL (SELECT * FROM job_runs r WHERE r.id = $1 ORDER BY r.attempt DESC, r.at DESC LIMIT 1) u ON true
 WHERE j.id IS NOT NULL OR u.id IS NOT NULL;

-- name: job_task_names
-- Tasks that workers know, and all others that have jobs, a schedule or a pause.
WITH RECURSIVE alive AS (
    SELECT min(task) AS task FROM jobs WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(j.task) FROM jobs j WHERE j.due_at IS NOT NULL AND j.task > a.task) FROM alive a
     WHERE a.task IS NOT NULL
), dead AS (
    SELECT min(task) AS task FROM jobs WHERE due_at IS NULL
    UNION ALL
    SELECT (SELECT min(j.task) FROM jobs j WHERE j.due_at IS NULL AND j.task > d.task) FROM dead d WHERE d.task IS NOT NULL
)
SELECT task FROM (
    SELECT name AS task FROM job_tasks UNION SELECT task FROM job_schedules UNION SELECT task FROM job_pauses
    UNION SELECT task FROM alive UNION SELECT task FROM dead) n
 WHERE task IS NOT NULL ORDER BY task LIMIT 1000;

-- name: job_pauses_all
SELECT task, by, reason, (extract(epoch FROM at) * 1000)::bigint AS at_ms FROM job_pauses ORDER BY task LIMIT 1000;

-- name: job_run_window
-- The longest of these times, in seconds, that has at most 200,000 runs: more would take too long to be read.
SELECT max(w) FROM unnest(ARRAY[3600, 600, 60, 6, 1]) w
 WHERE w = 1 OR (SELECT count(*) FROM (
       SELECT FROM job_runs WHERE at > now() - make_interval(secs => w) LIMIT 200001) r) <= 200000;

-- name: job_runs_recent
-- Of each task the attempts of the last seconds: how many, how many failed, and their run time.
SELECT task, count(*) AS attempts, count(*) FILTER (WHERE outcome IN ('retry', 'dead')) AS failures,
       round(percentile_disc(0.5) WITHIN GROUP (ORDER BY took_ms))::integer AS p50_ms,
       round(percentile_disc(0.95) WITHIN GROUP (ORDER BY took_ms))::integer AS p95_ms
  FROM job_runs WHERE at > now() - make_interval(secs => $1::integer) AND outcome <> 'discarded'
 GROUP BY task;

-- name: job_schedules_all
SELECT s.name, s.task, s.every_s, to_char(s.daily_at, 'HH24:MI') AS daily_at, s.paused,
       (extract(epoch FROM s.next_at) * 1000)::bigint AS next_ms, (extract(epoch FROM s.last_at) * 1000)::bigint AS last_ms
  FROM job_schedules s WHERE $1::text IS NULL OR s.name = $1 ORDER BY s.name LIMIT 1000;

-- name: job_workers
-- Workers that have jobs, and which: 20 of each, the longest under way first.
SELECT w.worker, w.many, x.jobs FROM (
    SELECT worker, count(*) AS many FROM jobs WHERE worker IS NOT NULL AND due_at > now()
     GROUP BY worker ORDER BY worker LIMIT 200) w
 CROSS JOIN LATERAL (SELECT jsonb_agg(j) AS jobs FROM (
    SELECT r.id, r.task, r.attempts, r.begun_ms FROM job_rows r JOIN jobs j ON j.id = r.id
     WHERE j.worker = w.worker AND j.due_at > now() ORDER BY j.begun_at, j.id LIMIT 20) j) x
 ORDER BY w.worker;

-- name: job_letters_newest
-- The newest dead letters, of all tasks.
SELECT r.* FROM (SELECT id FROM jobs WHERE due_at IS NULL ORDER BY died_at DESC, id DESC LIMIT $1::integer) d
  JOIN job_rows r ON r.id = d.id ORDER BY r.died_ms DESC, r.id DESC;
