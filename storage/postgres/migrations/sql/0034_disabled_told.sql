-- Administrators are told of a webhook that was disabled. Attempts of an event are found by its place.
-- Expand only: older programs go on as before.
CREATE INDEX webhook_attempts_pos ON webhook_attempts (pos) WHERE pos IS NOT NULL;

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
