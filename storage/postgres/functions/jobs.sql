-- Jobs: background work that is done at least once, by whichever worker has time.
--
-- `due_at` says when a job may be taken: by any worker while nobody has it, and from its worker when that has not
-- extended its lease. NULL means dead: only a person brings it back. An attempt is named by the job, its number and the
-- worker, so an outcome of an older attempt counts for nothing.
--
-- A lease that ran out may be the job's fault: it may have ended its worker. `deaths` counts that, apart from failures.
-- After two, the job is done alone, by a worker that does nothing else; after the third it is dead. So its neighbours,
-- whose workers died with it, are done.

-- Adds jobs: a list of {task, payload, trace, and where there is one: key, due_ms}. Returns their ids in order.
CREATE FUNCTION enqueue_jobs(p_items jsonb) RETURNS bigint[]
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH made AS (
        INSERT INTO jobs (task, key, payload, trace, due_at)
        SELECT x.task, x.key, x.payload, coalesce(x.trace, ''), coalesce(to_timestamp(x.due_ms / 1000.0), now())
          FROM ROWS FROM (jsonb_to_recordset(p_items) AS (task text, key text, payload jsonb, trace text, due_ms bigint))
               WITH ORDINALITY AS x(task, key, payload, trace, due_ms, at)
         ORDER BY x.at
        RETURNING id)
    SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM made
$$;
REVOKE ALL ON FUNCTION enqueue_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enqueue_jobs TO mall_app;

-- Leases due jobs of these tasks to a worker, at most p_limits of each, and returns {"jobs": [...], "suspects": n}:
-- how many jobs wait to be done alone. A worker that does nothing takes one of them with p_alone. Of a key only the
-- oldest job is taken. Tasks that are paused are left.
--   due       what may be taken, of each task, the longest due first; not what the worker itself has still
--   lost      the workers of these died for the third time: they are dead
--   chosen    what is taken now
--   put_off   suspects that are not: that their worker died is written down, and they are looked at again soon
CREATE FUNCTION claim_jobs(p_worker text, p_tasks text[], p_limits integer[], p_lease_s double precision, p_alone boolean)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    v_out jsonb;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT n.* FROM unnest(p_tasks, p_limits) AS t(name, many) CROSS JOIN LATERAL (
            SELECT j.id, j.due_at, j.deaths + (j.worker IS NOT NULL)::integer AS deaths FROM jobs j
             WHERE j.task = t.name AND j.due_at <= now() AND j.worker IS DISTINCT FROM p_worker
               AND (j.key IS NULL OR NOT EXISTS (
                    SELECT FROM jobs e WHERE e.key = j.key AND e.id < j.id AND e.due_at IS NOT NULL))
             ORDER BY j.due_at, j.id LIMIT t.many FOR NO KEY UPDATE SKIP LOCKED) n
         WHERE NOT EXISTS (SELECT FROM job_pauses p WHERE p.task = t.name)
    ), lost AS (
        UPDATE jobs j SET due_at = NULL, died_at = now(), worker = NULL, begun_at = NULL, deaths = d.deaths,
               error = 'Its worker ended while it was done, three times.'
          FROM due d WHERE d.deaths >= 3 AND j.id = d.id
        RETURNING j.id, j.task, j.key, j.trace, j.attempts, j.error
    ), recorded AS (
        INSERT INTO job_runs (id, task, key, trace, attempt, outcome, worker, error)
        SELECT id, task, key, trace, attempts, 'dead', p_worker, error FROM lost
    ), chosen AS MATERIALIZED (
        SELECT d.id, d.deaths FROM due d WHERE d.deaths < 2 AND NOT p_alone
        UNION ALL
        (SELECT d.id, d.deaths FROM due d WHERE d.deaths = 2 AND p_alone ORDER BY d.due_at, d.id LIMIT 1)
    ), put_off AS (
        UPDATE jobs j SET worker = NULL, begun_at = NULL, deaths = d.deaths
          FROM due d WHERE d.deaths < 3 AND j.worker IS NOT NULL AND j.id = d.id
           AND NOT EXISTS (SELECT FROM chosen c WHERE c.id = d.id)
    ), taken AS (
        UPDATE jobs j SET due_at = now() + make_interval(secs => p_lease_s), worker = p_worker, begun_at = now(),
               attempts = j.attempts + 1, deaths = c.deaths
          FROM chosen c WHERE j.id = c.id
        RETURNING j.id, j.task, j.key, j.payload, j.trace, j.attempts, j.failures, j.deaths,
                  (extract(epoch FROM j.created_at) * 1000)::bigint AS created_ms
    )
    SELECT jsonb_build_object(
               'jobs', coalesce((SELECT jsonb_agg(to_jsonb(t) ORDER BY t.id) FROM taken t), '[]'),
               'suspects', (SELECT count(*) FROM due d WHERE d.deaths = 2
                                AND NOT EXISTS (SELECT FROM chosen c WHERE c.id = d.id)))
      INTO v_out;
    RETURN v_out;
END
$$;
REVOKE ALL ON FUNCTION claim_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_jobs TO mall_app;

-- Records how attempts ended: a list of {id, attempt, outcome, took_ms, and where there is one: after_s, due_ms,
-- error}. Returns the ids whose outcome counted. The others have been taken by another worker since. Outcomes:
--   done      the job is gone
--   retry     it failed, and is due again in after_s
--   dead      it failed, and is not tried again
--   snoozed   it is put off until due_ms; that is no failure
--   released  the worker stops: it is due at once; that is no failure
CREATE FUNCTION finish_jobs(p_worker text, p_items jsonb) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    v_ids bigint[];
BEGIN
    WITH item AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(p_items) AS x(id bigint, attempt integer, outcome text, took_ms integer,
                                                       after_s double precision, due_ms bigint, error text)
    ), held AS MATERIALIZED (
        SELECT i.*, j.task, j.key, j.trace
          FROM item i JOIN jobs j ON j.id = i.id AND j.attempts = i.attempt AND j.worker = p_worker
         ORDER BY j.id FOR UPDATE OF j
    ), gone AS (
        DELETE FROM jobs j USING held h WHERE j.id = h.id AND h.outcome = 'done'
    ), kept AS (
        UPDATE jobs j SET worker = NULL, begun_at = NULL, error = coalesce(h.error, j.error),
               failures = j.failures + (h.outcome IN ('retry', 'dead'))::integer,
               due_at = CASE h.outcome WHEN 'retry' THEN now() + make_interval(secs => h.after_s)
                                       WHEN 'snoozed' THEN to_timestamp(h.due_ms / 1000.0)
                                       WHEN 'released' THEN now() END,
               died_at = CASE h.outcome WHEN 'dead' THEN now() END
          FROM held h WHERE j.id = h.id AND h.outcome <> 'done'
    ), recorded AS (
        INSERT INTO job_runs (id, task, key, trace, attempt, outcome, worker, took_ms, error)
        SELECT id, task, key, trace, attempt, outcome, p_worker, took_ms, error FROM held
    )
    SELECT array_agg(h.id) INTO v_ids FROM held h;
    RETURN coalesce(v_ids, '{}');
END
$$;
REVOKE ALL ON FUNCTION finish_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION finish_jobs TO mall_app;

-- Extends the leases of a worker's attempts. Returns those that are still its own. What the worker has by the table but
-- does not know, because the answer to its claim was lost, becomes due at once.
CREATE FUNCTION extend_jobs(p_worker text, p_ids bigint[], p_attempts integer[], p_lease_s double precision)
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    v_ids bigint[];
BEGIN
    WITH mine AS MATERIALIZED (
        SELECT j.id, x.id IS NOT NULL AS known
          FROM jobs j LEFT JOIN unnest(p_ids, p_attempts) AS x(id, attempt) ON x.id = j.id AND x.attempt = j.attempts
         WHERE j.worker = p_worker ORDER BY j.id FOR UPDATE OF j
    ), extended AS (
        UPDATE jobs j SET due_at = CASE WHEN m.known THEN now() + make_interval(secs => p_lease_s) ELSE now() END,
               worker = CASE WHEN m.known THEN j.worker END, begun_at = CASE WHEN m.known THEN j.begun_at END
          FROM mine m WHERE j.id = m.id
    )
    SELECT array_agg(m.id) INTO v_ids FROM mine m WHERE m.known;
    RETURN coalesce(v_ids, '{}');
END
$$;
REVOKE ALL ON FUNCTION extend_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION extend_jobs TO mall_app;

-- Ends the leases of former processes of a worker: their names are p_name and '/' and a suffix other than p_worker's.
-- Only one process at a time has a name, so these have died. Returns how many jobs they had.
-- Of one of them, p_last, it is known what it did when it died: the code of p_step, or of no job (NULL). Its other jobs
-- had no part in that, so they do not count the death. But a job may end its worker from a thread or by the memory that it
-- holds, and would never be found: one of more attempts than 16 counts each death.
CREATE FUNCTION end_former_workers(p_name text, p_worker text, p_last text DEFAULT NULL, p_step bigint DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    v_ended integer;
BEGIN
    UPDATE jobs j SET due_at = now(), worker = CASE WHEN f.counts THEN j.worker END,
           begun_at = CASE WHEN f.counts THEN j.begun_at END
      FROM (SELECT id, worker IS DISTINCT FROM p_last OR id IS NOT DISTINCT FROM p_step OR attempts > 16 AS counts
              FROM jobs WHERE worker IS NOT NULL AND split_part(worker, '/', 1) = p_name
                          AND worker <> p_worker AND (due_at > now() OR worker = p_last) ORDER BY id FOR UPDATE) f
     WHERE j.id = f.id;
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    RETURN v_ended;
END
$$;
REVOKE ALL ON FUNCTION end_former_workers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_former_workers TO mall_app;

-- When a schedule runs next, after p_now.
CREATE FUNCTION next_run(p_every_s integer, p_daily_at time, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN p_every_s IS NOT NULL THEN p_now + make_interval(secs => p_every_s)
                ELSE (d.at + CASE WHEN d.at <= p_now AT TIME ZONE 'UTC' THEN interval '1 day' ELSE interval '0' END)
                     AT TIME ZONE 'UTC' END
      FROM (SELECT (p_now AT TIME ZONE 'UTC')::date + p_daily_at AS at) d
$$;
REVOKE ALL ON FUNCTION next_run FROM PUBLIC;

-- Makes the schedules of the program known: a list of {name, task, payload, and every_s or daily_at}. One that is new or
-- has changed runs at its next time; daily_at is a time of the day in UTC.
CREATE FUNCTION set_schedules(p_items jsonb) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO job_schedules AS s (name, task, payload, every_s, daily_at, next_at)
    SELECT x.name, x.task, x.payload, x.every_s, x.daily_at, next_run(x.every_s, x.daily_at, now())
      FROM jsonb_to_recordset(p_items) AS x(name text, task text, payload jsonb, every_s integer, daily_at time)
     ORDER BY x.name
    ON CONFLICT (name) DO UPDATE SET task = excluded.task, payload = excluded.payload, every_s = excluded.every_s,
       daily_at = excluded.daily_at, next_at = excluded.next_at
     WHERE (s.task, s.payload, s.every_s, s.daily_at)
           IS DISTINCT FROM (excluded.task, excluded.payload, excluded.every_s, excluded.daily_at)
$$;
REVOKE ALL ON FUNCTION set_schedules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_schedules TO mall_app;

-- Makes jobs of the schedules that are due, of those that the caller knows. A schedule whose last job still waits gets no
-- second one. Times that passed while nobody looked are made up for once. Returns how many jobs were made.
CREATE FUNCTION fire_schedules(p_names text[]) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_made integer;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT s.name, s.task, s.payload FROM job_schedules s
         WHERE s.name = ANY (p_names) AND s.next_at <= now() AND NOT s.paused
         ORDER BY s.name FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE job_schedules s SET next_at = next_run(s.every_s, s.daily_at, now()), last_at = now()
          FROM due d WHERE s.name = d.name
    )
    INSERT INTO jobs (task, key, payload, trace, due_at)
    SELECT d.task, 'schedule/' || d.name, d.payload, replace(gen_random_uuid()::text, '-', ''), now() FROM due d
     WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.key = 'schedule/' || d.name AND j.due_at IS NOT NULL);
    GET DIAGNOSTICS v_made = ROW_COUNT;
    RETURN v_made;
END
$$;
REVOKE ALL ON FUNCTION fire_schedules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fire_schedules TO mall_app;

-- Deletes runs of jobs, and events, that are older than these days, p_limit of each at most. Returns how many rows
-- went: the caller comes again while there are many. The end of the log stays, so its places go on.
CREATE FUNCTION trim_jobs(p_run_days integer, p_event_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_runs integer; v_events integer;
BEGIN
    DELETE FROM job_runs WHERE ctid IN (
        SELECT ctid FROM job_runs WHERE at < now() - make_interval(days => p_run_days) LIMIT p_limit);
    GET DIAGNOSTICS v_runs = ROW_COUNT;
    -- From the lowest place on, so that what is left has no gap.
    WITH head AS (SELECT pos, at FROM event_log ORDER BY pos LIMIT p_limit)
    DELETE FROM event_log WHERE pos IN (
        SELECT h.pos FROM head h WHERE h.at < now() - make_interval(days => p_event_days)
           AND h.pos < coalesce((SELECT min(k.pos) FROM head k WHERE k.at >= now() - make_interval(days => p_event_days)),
                                h.pos + 1));
    GET DIAGNOSTICS v_events = ROW_COUNT;
    RETURN greatest(v_runs, v_events);
END
$$;
REVOKE ALL ON FUNCTION trim_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trim_jobs TO mall_app;
