-- Deletes feed entries that are older than p_days, answers whose key has expired, and share links of orders that have ended
-- half a day ago, p_limit of each at most. Returns how many rows went: the caller comes again while there are many.
CREATE FUNCTION trim_expired(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_events integer; v_keys integer; v_shares integer;
BEGIN
    DELETE FROM driver_events WHERE ctid IN (
        SELECT ctid FROM driver_events WHERE at < now() - make_interval(days => p_days) LIMIT p_limit);
    GET DIAGNOSTICS v_events = ROW_COUNT;
    DELETE FROM idempotency WHERE ctid IN (
        SELECT ctid FROM idempotency WHERE expires_at < now() LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_keys = ROW_COUNT;
    DELETE FROM order_shares WHERE digest IN (
        SELECT s.digest FROM order_shares s JOIN orders o ON o.id = s.order_id
         WHERE s.created_at < now() - interval '12 hours' AND o.updated_at < now() - interval '12 hours'
           AND o.status IN ('delivered', 'cancelled', 'undeliverable') LIMIT p_limit);
    GET DIAGNOSTICS v_shares = ROW_COUNT;
    RETURN v_events + v_keys + v_shares;
END
$$;
REVOKE ALL ON FUNCTION trim_expired FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trim_expired TO mall_app;
