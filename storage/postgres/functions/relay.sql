-- The relay: what commits have put into the outbox becomes events of the log, and jobs, exactly once.

-- Relays rows of the outbox in one commit: they are deleted, `events` get the next places of the log, `jobs` are added.
-- p has ids (of the outbox), events (a list of {type, topic, ref, version, order_id, zone_id, store_ids, body, trace,
-- at_ms} in order; body is text) and jobs (as enqueue_jobs() takes them). p_end is the end of the log that the places in
-- the bodies were counted from. Returns false, and does nothing, when the log has another end by now, because another
-- relay was faster. Only one relay at a time is between the lock of the end and its commit, so the log has no gap, and
-- who reads up to the end misses nothing.
--
-- Listeners are notified here and not where orders are written: the notification takes a lock of the whole server.
CREATE FUNCTION relay_outbox(p_end bigint, p jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    v_ids bigint[] := ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(p -> 'ids') x);
    v_count integer := jsonb_array_length(p -> 'events');
    v_deleted integer;
BEGIN
    PERFORM 1 FROM event_log_end WHERE pos = p_end FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM outbox WHERE id = ANY (v_ids);
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    IF v_deleted <> cardinality(v_ids) THEN
        RAISE EXCEPTION 'relay: % of % rows are in the outbox', v_deleted, cardinality(v_ids);
    END IF;
    INSERT INTO event_log (pos, type, topic, ref, version, order_id, zone_id, store_ids, body, trace, at)
    SELECT p_end + x.nth, x.type, x.topic, x.ref, x.version, x.order_id, x.zone_id,
           ARRAY(SELECT s::bigint FROM jsonb_array_elements_text(x.store_ids) s), convert_to(x.body, 'UTF8'), x.trace,
           to_timestamp(x.at_ms / 1000.0)
      FROM ROWS FROM (jsonb_to_recordset(p -> 'events') AS (
             type text, topic text, ref bigint, version bigint, order_id bigint, zone_id bigint, store_ids jsonb, body text,
             trace text, at_ms bigint)) WITH ORDINALITY
           AS x(type, topic, ref, version, order_id, zone_id, store_ids, body, trace, at_ms, nth);
    UPDATE event_log_end SET pos = p_end + v_count;
    PERFORM enqueue_jobs(p -> 'jobs');
    PERFORM wake_webhooks(ARRAY(SELECT DISTINCT e.type FROM event_log e WHERE e.pos > p_end));
    PERFORM pg_notify('mall_jobs', '');
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION relay_outbox FROM PUBLIC;
GRANT EXECUTE ON FUNCTION relay_outbox TO mall_app;

-- A payment's change that others want to know goes to the outbox, in the commit of the change. The status of the row
-- changes later, so the event's facts are written here.
CREATE FUNCTION payment_to_outbox() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO outbox (topic, ref, version, trace, data)
    VALUES ('payment', NEW.id, NEW.version, NEW.trace, jsonb_build_object(
        'event', CASE WHEN NEW.stuck_code IS NOT NULL THEN 'stuck'
                      WHEN NEW.refunded_minor > OLD.refunded_minor THEN 'refunded' ELSE NEW.status END,
        'status', NEW.status, 'order', NEW.order_id, 'amount_minor', NEW.amount_minor,
        'refunded_minor', NEW.refunded_minor, 'currency', NEW.currency, 'decline_code', NEW.decline_code,
        'stuck_code', NEW.stuck_code));
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION payment_to_outbox FROM PUBLIC;
CREATE TRIGGER payments_to_outbox AFTER UPDATE ON payments FOR EACH ROW
    WHEN (NEW.version <> OLD.version
          AND (NEW.refunded_minor > OLD.refunded_minor OR (NEW.stuck_code IS NOT NULL AND OLD.stuck_code IS NULL)
               OR (NEW.status <> OLD.status AND OLD.status <> 'refunding'
                   AND NEW.status IN ('held', 'declined', 'captured', 'voided'))))
    EXECUTE FUNCTION payment_to_outbox();
