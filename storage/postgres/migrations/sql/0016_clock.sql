-- Somebody has set Postgres's clock back: steps of payments that were put off while it was ahead would wait for as long
-- as it was. None is put off for longer than p_bound_s, so what is due later is due now.
CREATE FUNCTION wake_late_payments(p_bound_s double precision) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_woken integer;
BEGIN
    UPDATE payments SET due_at = now() WHERE due_at > now() + make_interval(secs => p_bound_s);
    GET DIAGNOSTICS v_woken = ROW_COUNT;
    RETURN v_woken;
END
$$;
REVOKE ALL ON FUNCTION wake_late_payments FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wake_late_payments TO mall_app;
