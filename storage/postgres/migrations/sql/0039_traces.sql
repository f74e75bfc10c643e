-- Jobs of a trace are found also where the trace has a span behind its id.

CREATE OR REPLACE FUNCTION chosen_jobs(p jsonb, p_failed boolean) RETURNS SETOF bigint
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
