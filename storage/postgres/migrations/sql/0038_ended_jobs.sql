-- A job that no worker has is in no attempt. A notice whose job has died is dead.
-- Expand only: older programs go on as before.

-- Leases due jobs of these tasks to a worker, at most p_limits of each, and returns {"jobs": [...], "suspects": n}:
-- how many jobs wait to be done alone. A worker that does nothing takes one of them with p_alone. Of a key only the
-- oldest job is taken. Tasks that are paused are left.
--   due       what may be taken, of each task, the longest due first; not what the worker itself has still
--   lost      the workers of these died for the third time: they are dead
--   chosen    what is taken now
--   put_off   suspects that are not: that their worker died is written down, and they are looked at again soon
CREATE OR REPLACE FUNCTION claim_jobs(p_worker text, p_tasks text[], p_limits integer[], p_lease_s double precision, p_alone boolean)
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

-- Ends the leases of former processes of a worker: their names are p_name and '/' and a suffix other than p_worker's.
-- Only one process at a time has a name, so these have died. Returns how many jobs they had.
-- Of one of them, p_last, it is known what it did when it died: the code of p_step, or of no job (NULL). Its other jobs
-- had no part in that, so they do not count the death. But a job may end its worker from a thread or by the memory that it
-- holds, and would never be found: one of more attempts than 16 counts each death.
CREATE OR REPLACE FUNCTION end_former_workers(p_name text, p_worker text, p_last text DEFAULT NULL, p_step bigint DEFAULT NULL)
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

-- A notice whose job has died cannot be delivered: that is noted in the commit in which the job dies, since of a job that has
-- ended its workers, has no valid payload or took too long, no code runs any more that could note it.
CREATE FUNCTION settle_notice_of_dead_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE notices SET status = 'dead', why = left(coalesce(NEW.error, 'its job died'), 500)
     WHERE id = CASE WHEN NEW.payload ->> 'notice' ~ '^[0-9]{1,18}$' THEN (NEW.payload ->> 'notice')::bigint END
       AND job_id = NEW.id AND status = 'wanted';
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION settle_notice_of_dead_job FROM PUBLIC;
CREATE TRIGGER jobs_notice_dead AFTER UPDATE OF due_at ON jobs FOR EACH ROW
    WHEN (OLD.due_at IS NOT NULL AND NEW.due_at IS NULL AND NEW.task IN ('send_mail', 'send_sms'))
    EXECUTE FUNCTION settle_notice_of_dead_job();

UPDATE jobs SET begun_at = NULL WHERE worker IS NULL AND begun_at IS NOT NULL;

UPDATE notices n SET status = 'dead', why = left(coalesce(j.error, 'its job died'), 500)
  FROM jobs j WHERE j.id = n.job_id AND j.due_at IS NULL AND n.status = 'wanted';
