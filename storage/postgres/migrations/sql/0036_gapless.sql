-- What an endpoint has passed over by the wish of a person is written down, so that an audit can tell it from what was
-- lost. An endpoint whose failing event is not wanted any more is woken by the next ones. A notice whose job is discarded
-- is dropped.

ALTER TABLE webhook_endpoints ADD COLUMN gapless_from bigint NOT NULL DEFAULT 0;
-- What was passed over until now is not known.
UPDATE webhook_endpoints SET gapless_from = reached,
       due_at = CASE WHEN disabled_at IS NULL THEN coalesce(due_at, now()) END;

UPDATE notices n SET status = 'dropped', why = 'its job was discarded'
 WHERE n.status = 'wanted' AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = n.job_id);

-- Wakes the endpoints that may want events of these types; the relay calls it in the commit of the events. One that waits
-- for its next attempt goes on waiting.
CREATE OR REPLACE FUNCTION wake_webhooks(p_types text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e
       SET wakes = e.wakes + 1, due_at = coalesce(e.due_at, now())
      FROM (SELECT w.id FROM webhook_endpoints w
             WHERE w.disabled_at IS NULL AND p_types <> '{}' AND (w.types = '{}' OR w.types && p_types) ORDER BY w.id FOR NO KEY UPDATE) due
     WHERE e.id = due.id
$$;

-- Stores how far claims have come, all of them in one commit. Returns the endpoints whose claim still holds; of the others
-- nothing is stored. An item: id, claim, step (rises by one; a step that was stored is not stored again), version and
-- wakes as the claim had them (a claim of an older version may have passed over what is wanted now), attempts, dead
-- (letters), and
--   live    reached, failures, failing_ms, refusals, refused_ms; disable: why; gap: [from, to]
--   replay  id, reached, failures, failing_ms, due_ms; done, error
--   pinged  the ping that was sent
--   release  the claim ends; due_ms: when to send again, null: when an event comes
CREATE OR REPLACE FUNCTION settle_webhooks(p_items jsonb, p_lease_ms integer) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_held bigint[]; v_fresh bigint[];
BEGIN
    PERFORM FROM webhook_endpoints e JOIN jsonb_to_recordset(p_items) AS i(id bigint) ON i.id = e.id
      ORDER BY e.id FOR NO KEY UPDATE OF e;
    SELECT array_agg(e.id), array_agg(e.id) FILTER (WHERE e.step < i.step) INTO v_held, v_fresh
      FROM webhook_endpoints e JOIN jsonb_to_recordset(p_items) AS i(id bigint, claim bigint, step integer)
        ON i.id = e.id AND i.claim = e.claim;

    INSERT INTO webhook_attempts (endpoint_id, message, pos, replay_id, at, status, error, took_ms)
    SELECT i.id, a.message, a.pos, a.replay_id, now() - make_interval(secs => a.ago_ms / 1000.0), a.status, a.error, a.took_ms
      FROM jsonb_to_recordset(p_items) AS i(id bigint, attempts jsonb)
     CROSS JOIN LATERAL jsonb_to_recordset(i.attempts)
           AS a(message text, pos bigint, replay_id bigint, ago_ms integer, status integer, error text, took_ms integer)
     WHERE i.id = ANY (v_fresh)
     ORDER BY a.ago_ms DESC;

    -- A replay that has delivered a dead letter, before the new ones: those are of the cursor.
    DELETE FROM webhook_dead_letters d
     USING jsonb_to_recordset(p_items) AS i(id bigint, attempts jsonb)
     CROSS JOIN LATERAL jsonb_to_recordset(i.attempts) AS a(pos bigint, replay_id bigint, status integer)
     WHERE i.id = ANY (v_fresh) AND a.replay_id IS NOT NULL AND a.status BETWEEN 200 AND 299
       AND d.endpoint_id = i.id AND d.pos = a.pos;
    INSERT INTO webhook_dead_letters (endpoint_id, pos, status, refusals)
    SELECT i.id, d.pos, d.status, d.refusals
      FROM jsonb_to_recordset(p_items) AS i(id bigint, dead jsonb)
     CROSS JOIN LATERAL jsonb_to_recordset(i.dead) AS d(pos bigint, status integer, refusals integer)
     WHERE i.id = ANY (v_fresh)
        ON CONFLICT DO NOTHING;

    UPDATE webhook_replays r
       SET reached = greatest(r.reached, p.reached), failures = p.failures,
           failing_since = now() - make_interval(secs => p.failing_ms / 1000.0),
           due_at = now() + make_interval(secs => p.due_ms / 1000.0),
           done_at = CASE WHEN p.done THEN now() END, error = p.error
      FROM jsonb_to_recordset(p_items) AS i(id bigint, replay jsonb)
     CROSS JOIN LATERAL jsonb_to_record(i.replay)
           AS p(id bigint, reached bigint, failures integer, failing_ms bigint, due_ms bigint, done boolean, error text)
     WHERE i.id = ANY (v_fresh) AND r.id = p.id AND r.endpoint_id = i.id;

    UPDATE webhook_endpoints e
       SET step = i.step, unsettled = 0,
           leased_until = CASE WHEN i.release IS NULL THEN now() + make_interval(secs => p_lease_ms / 1000.0) END,
           reached = greatest(e.reached, v.reached),
           gapless_from = CASE WHEN e.version = i.version THEN e.gapless_from ELSE greatest(e.gapless_from, v.reached) END,
           failures = coalesce(v.failures, e.failures),
           failing_since = CASE WHEN i.live IS NULL THEN e.failing_since
                                ELSE now() - make_interval(secs => v.failing_ms / 1000.0) END,
           refusals = coalesce(v.refusals, e.refusals),
           refused_since = CASE WHEN i.live IS NULL THEN e.refused_since
                                ELSE now() - make_interval(secs => v.refused_ms / 1000.0) END,
           gap_from = coalesce((v.gap ->> 0)::bigint, e.gap_from), gap_to = coalesce((v.gap ->> 1)::bigint, e.gap_to),
           gap_at = CASE WHEN v.gap IS NULL THEN e.gap_at ELSE now() END,
           disabled_at = coalesce(e.disabled_at, CASE WHEN v.disable IS NOT NULL THEN now() END),
           disabled_why = coalesce(e.disabled_why, v.disable),
           ping = CASE WHEN e.ping = i.pinged THEN NULL ELSE e.ping END,
           due_at = CASE WHEN i.release IS NULL OR i.live IS NULL THEN e.due_at
                         WHEN v.disable IS NOT NULL THEN NULL
                         WHEN e.version <> i.version THEN now()
                         WHEN (i.release ->> 'due_ms') IS NOT NULL
                         THEN now() + make_interval(secs => (i.release ->> 'due_ms')::bigint / 1000.0)
                         WHEN e.wakes <> i.wakes THEN now() END,
           errand_at = CASE WHEN i.release IS NULL THEN e.errand_at
                            WHEN e.ping IS DISTINCT FROM i.pinged AND e.ping IS NOT NULL THEN now()
                            WHEN e.disabled_at IS NULL AND v.disable IS NULL
                            THEN (SELECT min(r.due_at) FROM webhook_replays r WHERE r.endpoint_id = e.id AND r.done_at IS NULL) END
      FROM jsonb_to_recordset(p_items)
           AS i(id bigint, step integer, version integer, wakes bigint, live jsonb, pinged text, release jsonb)
      LEFT JOIN LATERAL jsonb_to_record(i.live)
           AS v(reached bigint, failures integer, failing_ms bigint, refusals integer, refused_ms bigint, disable text, gap jsonb)
        ON true
     WHERE e.id = i.id AND e.id = ANY (v_fresh);
    RETURN coalesce(v_held, '{}');
END
$$;

-- Makes an endpoint with its first secret, at the end of the log. Returns nothing if there are p_limit already.
CREATE OR REPLACE FUNCTION create_webhook(p_id bigint, p_secret bytea, p jsonb, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_end bigint;
BEGIN
    -- One creation at a time, so that none goes beyond the limit.
    PERFORM pg_advisory_xact_lock(hashtextextended('create_webhook', 0));
    IF (SELECT count(*) FROM webhook_endpoints) >= p_limit THEN
        RETURN NULL;
    END IF;
    -- A relay at work is awaited: its events come before the endpoint, and the next one wakes it.
    SELECT pos INTO v_end FROM event_log_end FOR SHARE;
    INSERT INTO webhook_endpoints (id, owner_user_id, owner_store_id, url, description, types, zone_ids, store_ids, secrets,
                                   secrets_from, secrets_until, on_refused, reached, gapless_from)
    SELECT p_id, i.owner_user_id, i.owner_store_id, i.url, i.description, i.types, i.zone_ids, i.store_ids, ARRAY[p_secret],
           ARRAY[now()], ARRAY[NULL]::timestamptz[], i.on_refused, v_end, v_end
      FROM jsonb_to_record(p) AS i(owner_user_id bigint, owner_store_id bigint, url text, description text, types text[],
                                   zone_ids bigint[], store_ids bigint[], on_refused text);
    RETURN p_id;
END
$$;

-- Changes an endpoint in one of the versions p_tags, or in any. p has the fields that change; `disabled` stops it.
-- Another address is tried at once, a stopped sender goes no further. Other filters are for what is above the cursor. Returns
-- nothing if no row has such a version.
CREATE OR REPLACE FUNCTION change_webhook(p_id bigint, p_tags text[], p jsonb) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e
       SET url = coalesce(i.url, e.url),
           description = CASE WHEN p ? 'description' THEN i.description ELSE e.description END,
           types = coalesce(i.types, e.types), zone_ids = coalesce(i.zone_ids, e.zone_ids),
           store_ids = coalesce(i.store_ids, e.store_ids), on_refused = coalesce(i.on_refused, e.on_refused),
           gapless_from = CASE WHEN p ?| '{types,zone_ids,store_ids}' THEN e.reached ELSE e.gapless_from END,
           failures = CASE WHEN p ? 'url' THEN 0 ELSE e.failures END,
           due_at = CASE WHEN e.disabled_at IS NOT NULL OR i.disabled THEN NULL WHEN p ? 'url' THEN now()
                         WHEN p ?| '{types,zone_ids,store_ids}' THEN coalesce(e.due_at, now()) ELSE e.due_at END,
           disabled_at = coalesce(e.disabled_at, CASE WHEN i.disabled THEN now() END),
           disabled_why = coalesce(e.disabled_why, CASE WHEN i.disabled THEN 'by_hand' END),
           claim = CASE WHEN i.disabled THEN e.claim + 1 ELSE e.claim END,
           version = CASE WHEN p = '{}' THEN e.version ELSE e.version + 1 END
      FROM jsonb_to_record(p) AS i(url text, description text, types text[], zone_ids bigint[], store_ids bigint[],
                                   on_refused text, disabled boolean),
           (SELECT FROM event_log_end FOR SHARE) l     -- a relay wakes it by its filters before, or by those after
     WHERE e.id = p_id AND (p_tags IS NULL OR e.version::text = ANY (p_tags))
    RETURNING e.id
$$;

-- Enables an endpoint, from its cursor or from the end of the log on. One that is enabled is tried at once.
CREATE OR REPLACE FUNCTION enable_webhook(p_id bigint, p_from_now boolean) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e
       SET reached = CASE WHEN p_from_now THEN l.pos ELSE e.reached END,
           gapless_from = CASE WHEN p_from_now THEN l.pos ELSE e.gapless_from END, claim = e.claim + 1, unsettled = 0, failures = 0,
           failing_since = NULL, refusals = 0, refused_since = NULL, due_at = now(), errand_at = now(), disabled_at = NULL,
           disabled_why = NULL, version = e.version + 1
      FROM (SELECT pos FROM event_log_end FOR SHARE) l WHERE e.id = p_id
    RETURNING e.id
$$;

-- Deletes jobs that no worker has. Each gets a run with the outcome `discarded`, whose worker is who did it, and a
-- notice that it was to send is dropped. p and the result are those of retry_jobs().
CREATE OR REPLACE FUNCTION discard_jobs(p jsonb) RETURNS jsonb
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
