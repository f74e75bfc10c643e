-- Webhooks: endpoints are claimed, sent to, and settled. The log is the queue: an endpoint has a cursor in it, so events
-- come in order and a new endpoint costs nothing when an event is written. The policy (when to try again, when to give
-- up) is in dispatch/webhooks/policy.py; these functions store what it says, under the fence of the claim.

-- Wakes the endpoints that may want events of these types; the relay calls it in the commit of the events. One that waits
-- for its next attempt goes on waiting.
CREATE FUNCTION wake_webhooks(p_types text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e
       SET wakes = e.wakes + 1, due_at = coalesce(e.due_at, now())
      FROM (SELECT w.id FROM webhook_endpoints w
             WHERE w.disabled_at IS NULL AND p_types <> '{}' AND (w.types = '{}' OR w.types && p_types) ORDER BY w.id FOR NO KEY UPDATE) due
     WHERE e.id = due.id
$$;
REVOKE ALL ON FUNCTION wake_webhooks FROM PUBLIC;

-- Milliseconds since a moment; NULL for none.
CREATE FUNCTION webhook_age_ms(p_since timestamptz) RETURNS bigint
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT (extract(epoch FROM now() - p_since) * 1000)::bigint
$$;
REVOKE ALL ON FUNCTION webhook_age_ms FROM PUBLIC;

-- Takes endpoints at which something is to be sent, at most p_limit, and p_failing of those that fail. A claim that
-- follows one that has settled nothing has twice its lease: a fault that prevents settling must not send events again
-- and again.
CREATE FUNCTION claim_webhooks(p_sender text, p_limit integer, p_failing integer, p_lease_ms integer)
RETURNS TABLE (id bigint, claim bigint, version integer, url text, types text[], zone_ids bigint[], store_ids bigint[],
               owner_store_id bigint, secrets bytea[], on_refused text, reached bigint, wakes bigint, failures integer,
               failing_ms bigint, refusals integer, refused_ms bigint, live boolean, ping text, lease_ms integer,
               replay jsonb)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH ranked AS (
        SELECT e.id, e.failures > 0 AS failing, least(e.due_at, e.errand_at) AS at,
               row_number() OVER (PARTITION BY e.failures > 0 ORDER BY least(e.due_at, e.errand_at), e.id) AS rank
          FROM webhook_endpoints e
         WHERE (e.leased_until IS NULL OR e.leased_until <= now())
           AND (e.errand_at <= now() OR e.due_at <= now() AND e.disabled_at IS NULL)
    ), chosen AS (
        SELECT r.id FROM ranked r WHERE NOT r.failing OR r.rank <= p_failing ORDER BY r.failing, r.at, r.id LIMIT p_limit
    ), locked AS (
        SELECT e.id FROM webhook_endpoints e JOIN chosen c ON c.id = e.id
         WHERE (e.leased_until IS NULL OR e.leased_until <= now()) ORDER BY e.id FOR NO KEY UPDATE OF e SKIP LOCKED
    ), taken AS (
        UPDATE webhook_endpoints e
           SET claim = e.claim + 1, sender = p_sender, step = 0, unsettled = e.unsettled + 1,
               leased_until = now() + make_interval(secs => p_lease_ms / 1000.0 * 2 ^ least(e.unsettled, 6))
          FROM locked WHERE e.id = locked.id
        RETURNING e.*)
    SELECT t.id, t.claim, t.version, t.url, t.types, t.zone_ids, t.store_ids, t.owner_store_id,
           ARRAY(SELECT s.secret FROM unnest(t.secrets, t.secrets_until) WITH ORDINALITY AS s(secret, until, n)
                  WHERE s.until IS NULL OR s.until > now() ORDER BY s.n),
           t.on_refused, t.reached, t.wakes, t.failures, webhook_age_ms(t.failing_since), t.refusals,
           webhook_age_ms(t.refused_since), t.disabled_at IS NULL AND coalesce(t.due_at <= now(), false), t.ping,
           (extract(epoch FROM t.leased_until - now()) * 1000)::integer, r.replay
      FROM taken t
      LEFT JOIN LATERAL (
          SELECT jsonb_build_object('id', p.id, 'reached', p.reached, 'to_pos', p.to_pos, 'types', p.types,
                                    'failures', p.failures, 'failing_ms', webhook_age_ms(p.failing_since)) AS replay
            FROM webhook_replays p
           WHERE p.endpoint_id = t.id AND p.done_at IS NULL AND p.due_at <= now() AND t.disabled_at IS NULL
           ORDER BY p.id LIMIT 1) r ON true
$$;
REVOKE ALL ON FUNCTION claim_webhooks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_webhooks TO mall_app;

-- Ends the leases of former processes of a sender: their names are p_name and '/' and a suffix other than p_sender's. Only
-- one process at a time has a name, so these have died. Not the lease of an endpoint whose claims have settled nothing twice:
-- it may be what ends its senders. Returns how many endpoints they had.
CREATE FUNCTION end_former_senders(p_name text, p_sender text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ended integer;
BEGIN
    UPDATE webhook_endpoints SET leased_until = NULL
     WHERE id IN (SELECT e.id FROM webhook_endpoints e
                   WHERE e.leased_until > now() AND e.unsettled < 2 AND split_part(e.sender, '/', 1) = p_name
                     AND e.sender <> p_sender ORDER BY e.id FOR NO KEY UPDATE);
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    RETURN v_ended;
END
$$;
REVOKE ALL ON FUNCTION end_former_senders FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_former_senders TO mall_app;

-- Stores how far claims have come, all of them in one commit. Returns the endpoints whose claim still holds; of the others
-- nothing is stored. An item: id, claim, step (rises by one; a step that was stored is not stored again), version and
-- wakes as the claim had them (a claim of an older version may have passed over what is wanted now), attempts, dead
-- (letters), and
--   live    reached, failures, failing_ms, refusals, refused_ms; disable: why; gap: [from, to]
--   replay  id, reached, failures, failing_ms, due_ms; done, error
--   pinged  the ping that was sent
--   release  the claim ends; due_ms: when to send again, null: when an event comes
CREATE FUNCTION settle_webhooks(p_items jsonb, p_lease_ms integer) RETURNS bigint[]
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
REVOKE ALL ON FUNCTION settle_webhooks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_webhooks TO mall_app;

-- Makes an endpoint with its first secret, at the end of the log. Returns nothing if there are p_limit already.
CREATE FUNCTION create_webhook(p_id bigint, p_secret bytea, p jsonb, p_limit integer) RETURNS bigint
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
REVOKE ALL ON FUNCTION create_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_webhook TO mall_app;

-- Changes an endpoint in one of the versions p_tags, or in any. p has the fields that change; `disabled` stops it.
-- Another address is tried at once, a stopped sender goes no further. Other filters are for what is above the cursor. Returns
-- nothing if no row has such a version.
CREATE FUNCTION change_webhook(p_id bigint, p_tags text[], p jsonb) RETURNS bigint
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
REVOKE ALL ON FUNCTION change_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION change_webhook TO mall_app;

-- Deletes an endpoint in one of the versions p_tags, or in any. Its attempts stay for their 30 days.
CREATE FUNCTION delete_webhook(p_id bigint, p_tags text[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM webhook_endpoints WHERE id = p_id AND (p_tags IS NULL OR version::text = ANY (p_tags)) RETURNING id
$$;
REVOKE ALL ON FUNCTION delete_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_webhook TO mall_app;

-- Gives an endpoint another secret. The one before signs along for p_overlap_s; an older one is dropped.
CREATE FUNCTION rotate_webhook_secret(p_id bigint, p_secret bytea, p_overlap_s integer) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e
       SET secrets = ARRAY[p_secret, e.secrets[1]], secrets_from = ARRAY[now(), e.secrets_from[1]],
           secrets_until = ARRAY[NULL, now() + make_interval(secs => p_overlap_s)], version = e.version + 1
     WHERE e.id = p_id
    RETURNING e.id
$$;
REVOKE ALL ON FUNCTION rotate_webhook_secret FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rotate_webhook_secret TO mall_app;

-- Enables an endpoint, from its cursor or from the end of the log on. One that is enabled is tried at once.
CREATE FUNCTION enable_webhook(p_id bigint, p_from_now boolean) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e
       SET reached = CASE WHEN p_from_now THEN l.pos ELSE e.reached END,
           gapless_from = CASE WHEN p_from_now THEN l.pos ELSE e.gapless_from END, claim = e.claim + 1, unsettled = 0, failures = 0,
           failing_since = NULL, refusals = 0, refused_since = NULL, due_at = now(), errand_at = now(), disabled_at = NULL,
           disabled_why = NULL, version = e.version + 1
      FROM (SELECT pos FROM event_log_end FOR SHARE) l WHERE e.id = p_id
    RETURNING e.id
$$;
REVOKE ALL ON FUNCTION enable_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enable_webhook TO mall_app;

-- Has a test event sent to an endpoint, also to a disabled one. Returns its id: that of one that waits already.
CREATE FUNCTION ping_webhook(p_id bigint, p_ping text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE webhook_endpoints e SET ping = coalesce(e.ping, p_ping), errand_at = now() WHERE e.id = p_id RETURNING e.ping
$$;
REVOKE ALL ON FUNCTION ping_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ping_webhook TO mall_app;

-- Asks for a replay: p_from to p_to, of what is in the log at or below the cursor; or from a moment on. Returns its row, or
-- a code: not_found, too_many (that wait), nothing (in the log).
CREATE FUNCTION replay_webhook(p_id bigint, p jsonb, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    i record; v_reached bigint; v_from bigint; v_to bigint; r webhook_replays;
BEGIN
    SELECT * INTO i FROM jsonb_to_record(p) AS i(from_pos bigint, to_pos bigint, since timestamptz, types text[], by_id bigint);
    SELECT e.reached INTO v_reached FROM webhook_endpoints e WHERE e.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"code": "not_found"}';
    ELSIF (SELECT count(*) FROM webhook_replays w WHERE w.endpoint_id = p_id AND w.done_at IS NULL) >= p_limit THEN
        RETURN '{"code": "too_many"}';
    END IF;
    -- What is above the cursor comes anyhow, in its turn.
    SELECT min(g.pos), least(coalesce(i.to_pos, v_reached), v_reached) INTO v_from, v_to FROM event_log g
     WHERE g.pos >= coalesce(i.from_pos, 1) AND (i.since IS NULL OR g.at >= i.since);
    IF v_from IS NULL OR v_from > v_to THEN
        RETURN '{"code": "nothing"}';
    END IF;
    INSERT INTO webhook_replays (endpoint_id, from_pos, to_pos, types, by_id, reached)
    VALUES (p_id, v_from, v_to, coalesce(i.types, '{}'), i.by_id, v_from - 1) RETURNING * INTO r;
    UPDATE webhook_endpoints e SET errand_at = now() WHERE e.id = p_id AND e.disabled_at IS NULL;
    RETURN jsonb_build_object('code', 'accepted', 'id', r.id, 'from_pos', r.from_pos, 'to_pos', r.to_pos);
END
$$;
REVOKE ALL ON FUNCTION replay_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION replay_webhook TO mall_app;

-- Deletes attempts, dead letters and finished replays of more than 30 days ago, p_limit of each at most. Returns how many
-- rows went.
CREATE FUNCTION trim_webhooks(p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_kept timestamptz := now() - interval '30 days'; v_gone integer; v_all integer;
BEGIN
    DELETE FROM webhook_attempts WHERE id IN (
        SELECT h.id FROM (SELECT a.id, a.at FROM webhook_attempts a ORDER BY a.id LIMIT p_limit) h WHERE h.at < v_kept);
    GET DIAGNOSTICS v_all = ROW_COUNT;
    DELETE FROM webhook_dead_letters WHERE ctid IN (SELECT ctid FROM webhook_dead_letters WHERE at < v_kept LIMIT p_limit);
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    v_all := v_all + v_gone;
    DELETE FROM webhook_replays WHERE id IN (SELECT id FROM webhook_replays WHERE done_at < v_kept LIMIT p_limit);
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_all + v_gone;
END
$$;
REVOKE ALL ON FUNCTION trim_webhooks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trim_webhooks TO mall_app;

-- An endpoint that was disabled is told of, in the commit that disables it; not when somebody did it by hand.
CREATE FUNCTION tell_disabled_webhook() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM enqueue_jobs(jsonb_build_array(jsonb_build_object(
        'task', 'notify_users', 'trace', replace(gen_random_uuid()::text, '-', ''),
        'payload', jsonb_build_object('type', 'webhook_disabled', 'data', jsonb_build_object(
            'webhook', 'whk_' || NEW.id, 'host', split_part(split_part(NEW.url, '://', 2), '/', 1),
            'why', NEW.disabled_why)))));
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tell_disabled_webhook FROM PUBLIC;
CREATE TRIGGER webhook_endpoints_disabled_told AFTER UPDATE ON webhook_endpoints FOR EACH ROW
    WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL AND NEW.disabled_why <> 'by_hand')
    EXECUTE FUNCTION tell_disabled_webhook();
