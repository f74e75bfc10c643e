-- Refunds, and payments that an operator settles. The steps that carry a refund out are in payments.sql.

-- Records that an admin wants money back. p: id, by, lease_s, and where given amount (without it, all that is left),
-- reason and key.
--
-- Codes:
--   refunding      recorded; the caller asks the gateway
--   refunded, captured     this very refund is done already
--   refund_in_progress     another one is under way
--   refund_too_large       with what is left
--   not_found, invalid_transition, key_reused
CREATE FUNCTION want_refund(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint := (p ->> 'id')::bigint;
    v_amount bigint := (p ->> 'amount')::bigint;
    v_key bytea := decode(p ->> 'key', 'hex');
    pay record; known record; v_left bigint;
BEGIN
    SELECT * INTO pay FROM payments WHERE id = v_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('code', 'not_found');
    END IF;
    v_left := pay.amount_minor - pay.refunded_minor;
    SELECT * INTO known FROM payment_refunds WHERE payment_id = v_id AND key_hash = v_key;
    IF FOUND THEN
        IF known.reason IS DISTINCT FROM p ->> 'reason' OR (v_amount IS NOT NULL AND known.amount_minor <> v_amount) THEN
            RETURN jsonb_build_object('code', 'key_reused');
        END IF;
        RETURN jsonb_build_object('code', pay.status);
    END IF;
    IF pay.status = 'refunded' OR (pay.status = 'refunding' AND v_amount IS NULL) THEN
        RETURN jsonb_build_object('code', pay.status);
    ELSIF pay.status = 'refunding' THEN
        RETURN jsonb_build_object('code', 'refund_in_progress');
    ELSIF pay.status <> 'captured' THEN
        RETURN jsonb_build_object('code', 'invalid_transition');
    ELSIF v_amount > v_left THEN
        RETURN jsonb_build_object('code', 'refund_too_large', 'left', v_left);
    END IF;
    INSERT INTO payment_refunds (payment_id, number, amount_minor, reason, by_id, key_hash, status)
    SELECT v_id, count(*) + 1, coalesce(v_amount, v_left), p ->> 'reason', p ->> 'by', v_key, 'wanted'
      FROM payment_refunds WHERE payment_id = v_id;
    UPDATE payments SET status = 'refunding', attempts = 0, unsure = false, updated_at = clock_timestamp(),
           version = version + 1, due_at = now() + make_interval(secs => (p ->> 'lease_s')::double precision)
     WHERE id = v_id;
    RETURN jsonb_build_object('code', 'refunding');
END
$$;
REVOKE ALL ON FUNCTION want_refund(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION want_refund(jsonb) TO mall_app;

-- Records how a payment that is stuck has ended, or that it is to be tried again, on an operator's word. p: id,
-- outcome, by, reason. Codes: settled, not_found, invalid_transition (it is not stuck, or cannot end so).
CREATE FUNCTION settle_payment(p jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint := (p ->> 'id')::bigint;
    v_to text := p ->> 'outcome';
    pay record; v_back bigint := 0;
BEGIN
    SELECT * INTO pay FROM payments WHERE id = v_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    END IF;
    IF pay.stuck_code IS NULL OR (v_to <> 'retry' AND (pay.status, v_to) NOT IN (
            ('pending', 'voided'), ('held', 'captured'), ('held', 'voided'), ('refunding', 'refunded'),
            ('refunding', 'captured'))) THEN
        RETURN 'invalid_transition';
    END IF;
    IF v_to = 'retry' THEN
        v_to := pay.status;
    ELSIF pay.status = 'refunding' THEN
        UPDATE payment_refunds SET status = CASE v_to WHEN 'refunded' THEN 'done' ELSE 'refused' END
         WHERE payment_id = v_id AND status = 'wanted' RETURNING amount_minor INTO v_back;
        v_back := CASE v_to WHEN 'refunded' THEN coalesce(v_back, 0) ELSE 0 END;
        v_to := CASE WHEN v_to = 'refunded' AND pay.refunded_minor + v_back < pay.amount_minor THEN 'captured' ELSE v_to END;
    END IF;
    UPDATE payments SET status = v_to, refunded_minor = refunded_minor + v_back, stuck_code = NULL, stuck_at = NULL,
           attempts = 0,
           settled = jsonb_build_object('by', p ->> 'by', 'reason', p ->> 'reason', 'version', version + 1),
           token = CASE WHEN v_to = 'pending' THEN token END, due_at = now(), updated_at = clock_timestamp(),
           version = version + 1
     WHERE id = v_id;
    IF pay.status = 'pending' AND v_to <> 'pending' THEN
        UPDATE payments SET decline_code = coalesce(decline_code, 'settled') WHERE id = v_id;
        UPDATE idempotency SET code = v_to, facts = payment_shown(v_id)
         WHERE principal_id = pay.principal_id AND key_hash = pay.key_hash AND code = 'pending';
    END IF;
    RETURN 'settled';
END
$$;
REVOKE ALL ON FUNCTION settle_payment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_payment TO mall_app;

-- As instances from before 0017_settling call want_refund(). Nothing calls it any more.
CREATE FUNCTION want_refund(p_id bigint, p_lease_s double precision) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT want_refund(jsonb_build_object('id', p_id, 'lease_s', p_lease_s, 'by', 'unknown')) ->> 'code'
$$;
REVOKE ALL ON FUNCTION want_refund(bigint, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION want_refund(bigint, double precision) TO mall_app;
