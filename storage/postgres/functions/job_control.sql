-- What a person does to jobs: retry, discard, pause, run now. Each writes a row of job_actions in the same commit.

-- The jobs that an action is about, locked, by number: what retry_jobs() and discard_jobs() have in common. p has, where
-- there is one: ids, task, state, key, trace, order_id (which must all fit), and limit, one more than which is returned.
-- The trace of a job may have a span behind its id. Jobs that a worker has are never among them. With p_failed only those that are dead or wait for a retry.
CREATE FUNCTION chosen_jobs(p jsonb, p_failed boolean) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    v_ids bigint[] := CASE WHEN p ? 'ids' THEN ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(p -> 'ids') x) END;
    v_task text := p ->> 'task';
    v_state text := p ->> 'state';
    v_key text := p ->> 'key';
    v_trace text := p ->> 'trace';
    v_order text := p ->> 'order_id';
BEGIN
    RETURN QUERY
    SELECT j.id FROM jobs j
     WHERE (v_ids IS NULL OR j.id = ANY (v_ids))
       AND (v_task IS NULL OR j.task = v_task)
       AND (v_key IS NULL OR j.key = v_key)
       AND (v_trace IS NULL OR j.trace >= v_trace AND j.trace < v_trace || 'g')
       AND (v_order IS NULL OR j.payload ->> 'order_id' IN (v_order, 'ord_' || v_order))
       AND (v_state IS NULL OR v_state = 'dead' AND j.due_at IS NULL OR v_state = 'waiting' AND j.due_at <= now()
            OR v_state = 'scheduled' AND j.due_at > now() AND j.worker IS NULL)
       AND (j.worker IS NULL OR j.due_at <= now())
       AND (NOT p_failed OR j.due_at IS NULL OR j.due_at > now() AND j.failures > 0)
     ORDER BY j.id LIMIT least((p ->> 'limit')::integer, 10000) + 1 FOR UPDATE;
END
$$;
REVOKE ALL ON FUNCTION chosen_jobs FROM PUBLIC;

-- Makes jobs due that are dead or wait for a retry: as if they had never failed, but attempts go on, so that an outcome of
-- an older one still counts for nothing. p is that of chosen_jobs() with by, and where there is one: expected, the number
-- of jobs that the caller expects, and counts_only. Returns {"count", "more", "done"}: how many jobs, at most the limit;
-- whether there are others beyond it; and false for done if nothing was changed, because they were only counted, or there
-- are none, or not as many as expected.
CREATE FUNCTION retry_jobs(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids bigint[] := ARRAY(SELECT id FROM chosen_jobs(p, true) id);
    v_found jsonb := judged_jobs(p, v_ids);
BEGIN
    IF (v_found -> 'done')::boolean THEN
        v_ids := v_ids[:(p ->> 'limit')::integer];
        UPDATE jobs SET due_at = now(), failures = 0, deaths = 0, died_at = NULL WHERE id = ANY (v_ids);
        PERFORM record_job_action(p, 'retry', v_ids);
        PERFORM pg_notify('mall_jobs', '');
    END IF;
    RETURN v_found;
END
$$;
REVOKE ALL ON FUNCTION retry_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retry_jobs TO mall_app;

-- Deletes jobs that no worker has. Each gets a run with the outcome `discarded`, whose worker is who did it, and a
-- notice that it was to send is dropped. p and the result are those of retry_jobs().
CREATE FUNCTION discard_jobs(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids bigint[] := ARRAY(SELECT id FROM chosen_jobs(p, false) id);
    v_found jsonb := judged_jobs(p, v_ids);
BEGIN
    IF (v_found -> 'done')::boolean THEN
        v_ids := v_ids[:(p ->> 'limit')::integer];
        WITH gone AS (
            DELETE FROM jobs WHERE id = ANY (v_ids) RETURNING id, task, key, trace, attempts, error, payload
        ), dropped AS (
            UPDATE notices n SET status = 'dropped', why = 'its job was discarded'
              FROM gone g
             WHERE n.id = CASE WHEN g.task IN ('send_mail', 'send_sms') THEN (g.payload ->> 'notice')::bigint END
               AND n.job_id = g.id AND n.status = 'wanted'
        )
        INSERT INTO job_runs (id, task, key, trace, attempt, outcome, worker, error)
        SELECT id, task, key, trace, attempts, 'discarded', p ->> 'by', error FROM gone;
        PERFORM record_job_action(p, 'discard', v_ids);
        PERFORM pg_notify('mall_jobs', '');
    END IF;
    RETURN v_found;
END
$$;
REVOKE ALL ON FUNCTION discard_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION discard_jobs TO mall_app;

-- What an action answers about the jobs that were chosen for it.
CREATE FUNCTION judged_jobs(p jsonb, p_ids bigint[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT jsonb_build_object(
        'count', n.many, 'more', cardinality(p_ids) > n.many,
        'done', n.many > 0 AND NOT coalesce((p -> 'counts_only')::boolean, false)
                AND n.many = coalesce((p ->> 'expected')::integer, n.many))
      FROM (SELECT least(cardinality(p_ids), (p ->> 'limit')::integer) AS many) n
$$;
REVOKE ALL ON FUNCTION judged_jobs FROM PUBLIC;

-- Records an action. Its target has what the jobs were chosen by, and their ids.
CREATE FUNCTION record_job_action(p jsonb, p_action text, p_ids bigint[]) RETURNS void
LANGUAGE sql VOLATILE SET search_path = public, pg_temp AS $$
    INSERT INTO job_actions (by, action, target, count)
    VALUES (p ->> 'by', p_action, p - ARRAY['by', 'limit', 'expected', 'counts_only'] || jsonb_build_object('ids', p_ids),
            cardinality(p_ids))
$$;
REVOKE ALL ON FUNCTION record_job_action FROM PUBLIC;

-- Pauses a task, or goes on with it: p has by, task, paused, and where there is one: reason. Jobs under way are finished.
-- Returns false if it was not paused and is to go on.
CREATE FUNCTION set_job_pause(p jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (p -> 'paused')::boolean THEN
        INSERT INTO job_pauses (task, by, reason) VALUES (p ->> 'task', p ->> 'by', p ->> 'reason')
        ON CONFLICT (task) DO UPDATE SET by = excluded.by, reason = excluded.reason, at = excluded.at;
    ELSE
        DELETE FROM job_pauses WHERE task = p ->> 'task';
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        PERFORM pg_notify('mall_jobs', '');
    END IF;
    INSERT INTO job_actions (by, action, target)
    VALUES (p ->> 'by', CASE WHEN (p -> 'paused')::boolean THEN 'pause' ELSE 'resume' END,
            jsonb_build_object('task', p ->> 'task', 'reason', p ->> 'reason'));
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION set_job_pause FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_job_pause TO mall_app;

-- Changes a schedule or runs it now: p has by, name, and paused or run. A paused one makes no jobs, but may be run by
-- hand; times that passed meanwhile are not made up for. Running it makes a job, unless one of it is left that is not
-- dead. Returns {"job": its id, "made": whether it is new} (both NULL for a change), or NULL: there is no such schedule.
CREATE FUNCTION set_schedule(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_runs boolean := coalesce((p -> 'run')::boolean, false);
    v_paused boolean := (p -> 'paused')::boolean;
    v_one job_schedules; v_job bigint; v_made boolean;
BEGIN
    SELECT * INTO v_one FROM job_schedules WHERE name = p ->> 'name' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_runs THEN
        SELECT min(id) INTO v_job FROM jobs WHERE key = 'schedule/' || v_one.name AND due_at IS NOT NULL;
        v_made := v_job IS NULL;
        IF v_made THEN
            INSERT INTO jobs (task, key, payload, trace)
            VALUES (v_one.task, 'schedule/' || v_one.name, v_one.payload, replace(gen_random_uuid()::text, '-', ''))
            RETURNING id INTO v_job;
            UPDATE job_schedules SET last_at = now() WHERE name = v_one.name;
            PERFORM pg_notify('mall_jobs', '');
        END IF;
    ELSIF v_paused = v_one.paused THEN
        RETURN '{}';
    ELSE
        UPDATE job_schedules SET paused = v_paused,
               next_at = CASE WHEN next_at <= now() THEN next_run(every_s, daily_at, now()) ELSE next_at END
         WHERE name = v_one.name;
    END IF;
    INSERT INTO job_actions (by, action, target)
    VALUES (p ->> 'by', CASE WHEN v_runs THEN 'run_schedule' WHEN v_paused THEN 'pause_schedule' ELSE 'resume_schedule' END,
            jsonb_strip_nulls(jsonb_build_object('schedule', v_one.name,
                                                 'ids', CASE WHEN v_runs THEN jsonb_build_array(v_job) END)));
    RETURN jsonb_build_object('job', v_job, 'made', v_made);
END
$$;
REVOKE ALL ON FUNCTION set_schedule FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_schedule TO mall_app;

-- Makes the tasks that a worker knows known to everybody. Those that no worker has known for a week are forgotten.
CREATE FUNCTION note_job_tasks(p_names text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO job_tasks AS t (name) SELECT x FROM unnest(p_names) x ORDER BY x
    ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at WHERE t.seen_at < now() - interval '1 hour';
    DELETE FROM job_tasks WHERE seen_at < now() - interval '7 days'
$$;
REVOKE ALL ON FUNCTION note_job_tasks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_job_tasks TO mall_app;
