-- Notices: what customers, stores, drivers and operators are told by mail and SMS.

-- Adds notices, each with the job that sends it, in this commit. A notice that is there already is left alone, so a
-- repetition has no effect. p is a list of {topic, order_id, version, user_id, store_id, channel, type, data, trace}.
-- Returns how many were added. A recipient's notices about one order are sent in turn: they share a
-- key. Others have none, so one that waits for the end of quiet hours holds back no other one.
CREATE FUNCTION add_notices(p jsonb) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids bigint[]; v_items jsonb; v_jobs bigint[];
BEGIN
    WITH made AS (
        INSERT INTO notices (topic, order_id, version, user_id, store_id, channel, type, data, trace)
        SELECT n.topic, n.order_id, n.version, n.user_id, n.store_id, n.channel, n.type, coalesce(n.data, '{}'), n.trace
          FROM jsonb_to_recordset(p) AS n(topic text, order_id bigint, version bigint, user_id bigint, store_id bigint,
                                          channel text, type text, data jsonb, trace text)
        ON CONFLICT DO NOTHING
        RETURNING *
    )
    SELECT array_agg(m.id ORDER BY m.id),
           jsonb_agg(jsonb_build_object(
               'task', 'send_' || m.channel,
               'key', 'ord_' || nullif(m.order_id, 0) || '/'
                      || coalesce('usr_' || nullif(m.user_id, 0), 'sto_' || m.store_id) || '/' || m.channel,
               'payload', jsonb_build_object('notice', m.id), 'trace', m.trace) ORDER BY m.id)
      INTO v_ids, v_items FROM made m;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    v_jobs := enqueue_jobs(v_items);
    UPDATE notices n SET job_id = v_jobs[m.nr] FROM unnest(v_ids) WITH ORDINALITY AS m(id, nr) WHERE n.id = m.id;
    RETURN cardinality(v_ids);
END
$$;
REVOKE ALL ON FUNCTION add_notices FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_notices TO mall_app;

-- Notes what became of a notice. What was sent stays sent. Returns false when there is no such notice.
CREATE FUNCTION settle_notice(p_id bigint, p_status text, p_why text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE notices SET status = p_status, why = left(p_why, 500),
           sent_at = CASE p_status WHEN 'sent' THEN clock_timestamp() END
     WHERE id = p_id AND status <> 'sent';
    RETURN FOUND OR EXISTS (SELECT FROM notices WHERE id = p_id);
END
$$;
REVOKE ALL ON FUNCTION settle_notice FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_notice TO mall_app;

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

-- Replaces a user's preferences by these: a list of {type, channel, wanted}. The user's row is locked, so of two at once
-- the second one's stay.
CREATE FUNCTION set_notice_preferences(p_user bigint, p jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM users WHERE id = p_user AND status <> 'deleted' FOR NO KEY UPDATE;
    IF FOUND THEN
        DELETE FROM notice_preferences WHERE user_id = p_user;
        INSERT INTO notice_preferences (user_id, type, channel, wanted)
        SELECT p_user, n.type, n.channel, n.wanted
          FROM jsonb_to_recordset(p) AS n(type text, channel text, wanted boolean);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION set_notice_preferences FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_notice_preferences TO mall_app;

-- Deletes notices that are older than p_days, p_limit at most, and returns how many. Those that wait are kept.
CREATE FUNCTION trim_notices(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_gone integer;
BEGIN
    DELETE FROM notices WHERE id IN (
        SELECT id FROM notices WHERE created_at < now() - make_interval(days => p_days) AND status <> 'wanted'
         ORDER BY id LIMIT p_limit);
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END
$$;
REVOKE ALL ON FUNCTION trim_notices FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trim_notices TO mall_app;

-- Keeps a message of the sandbox, once for its key, and of all messages the newest 200.
CREATE FUNCTION add_sandbox_message(p jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO sandbox_messages (key, channel, recipient, subject, body, html, headers)
    VALUES (p ->> 'key', p ->> 'channel', p ->> 'recipient', p ->> 'subject', p ->> 'body', p ->> 'html', p -> 'headers')
    ON CONFLICT (key) DO NOTHING;
    DELETE FROM sandbox_messages WHERE id IN (SELECT id FROM sandbox_messages ORDER BY id DESC OFFSET 200);
END
$$;
REVOKE ALL ON FUNCTION add_sandbox_message FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_sandbox_message TO mall_app;
