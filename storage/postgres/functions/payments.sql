-- Payments step by step. The gateway has a database of its own, so a step is committed before the call (the intent in
-- `status`, a lease in `due_at`) and after it (the outcome). The gateway's key follows from the payment's id and the
-- step: a step that is repeated after a crash asks for the same thing and gets the same answer. Refunds and settling
-- are in refunds.sql.

-- Records the intent to pay an order, and keeps the answer under the customer's key. Codes:
--   pending     a new payment, in `facts`; the caller asks the gateway
--   in_flight   another call is at work under this key
--   key_reused  the key was used with another body
--   order_not_found, payment_not_due, payment_exists     kept under the key
-- A repetition gets what is kept: `pending` until the outcome is known, then the outcome.
CREATE FUNCTION start_payment(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_who bigint := (p ->> 'customer')::bigint;
    v_route text := p ->> 'route';
    v_key bytea := decode(p ->> 'key', 'hex');
    v_now timestamptz := clock_timestamp();
    idem record; o record; v_id bigint; v_code text; v_facts jsonb := '{}';
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(v_who || '/' || v_route || '/' || (p ->> 'key'), 0)) THEN
        RETURN jsonb_build_object('code', 'in_flight', 'facts', v_facts);
    END IF;
    SELECT * INTO idem FROM idempotency WHERE principal_id = v_who AND route = v_route AND key_hash = v_key;
    IF FOUND AND idem.expires_at > v_now THEN
        IF idem.fingerprint <> decode(p ->> 'fingerprint', 'hex') THEN
            RETURN jsonb_build_object('code', 'key_reused', 'facts', v_facts);
        END IF;
        IF idem.code = 'pending' THEN
            SELECT id INTO v_id FROM payments
             WHERE id = (idem.facts ->> 'id')::bigint AND attempts = 0 AND due_at > v_now;
            IF FOUND THEN
                RETURN jsonb_build_object('code', 'in_flight', 'facts', v_facts);
            END IF;
        END IF;
        RETURN jsonb_build_object('code', idem.code, 'facts', idem.facts, 'replayed', true);
    END IF;

    SELECT id, status, payment, total_minor, currency INTO o FROM orders
     WHERE id = (p ->> 'order')::bigint AND customer_id = v_who;
    IF NOT FOUND THEN
        v_code := 'order_not_found';
    ELSIF o.payment <> 'card' OR o.status <> 'awaiting_payment' THEN
        v_code := 'payment_not_due';
        v_facts := jsonb_build_object('order_status', o.status);
    ELSE
        INSERT INTO payments (order_id, method, status, amount_minor, currency, token, due_at, principal_id, key_hash,
                              trace, created_at, updated_at)
        VALUES (o.id, p ->> 'method', 'pending', o.total_minor, o.currency, p ->> 'token',
                v_now + make_interval(secs => (p ->> 'lease_s')::double precision), v_who, v_key, p ->> 'trace',
                v_now, v_now)
        ON CONFLICT (order_id) WHERE status NOT IN ('declined', 'voided', 'refunded') DO NOTHING
        RETURNING id INTO v_id;
        IF v_id IS NULL THEN
            v_code := 'payment_exists';
        ELSE
            v_code := 'pending';
            v_facts := payment_shown(v_id);
        END IF;
    END IF;
    INSERT INTO idempotency (principal_id, route, key_hash, fingerprint, code, facts, created_at, expires_at)
    VALUES (v_who, v_route, v_key, decode(p ->> 'fingerprint', 'hex'), v_code, v_facts, v_now,
            v_now + make_interval(secs => (p ->> 'ttl_s')::integer))
    ON CONFLICT (principal_id, route, key_hash) DO UPDATE
       SET fingerprint = excluded.fingerprint, code = excluded.code, facts = excluded.facts,
           created_at = excluded.created_at, expires_at = excluded.expires_at;
    RETURN jsonb_build_object('code', v_code, 'facts', v_facts, 'replayed', false);
END
$$;
REVOKE ALL ON FUNCTION start_payment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION start_payment TO mall_app;

-- Leases payments that are due to a worker for p_lease_s. A worker that takes longer may meet another one at the same
-- step; the gateway's keys and the comparison of the status in step_payment() make that harmless.
CREATE FUNCTION claim_payments(p_limit integer, p_lease_s double precision) RETURNS SETOF payment_rows
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT id FROM payments WHERE due_at <= now() ORDER BY due_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED),
    taken AS (
        UPDATE payments p SET due_at = now() + make_interval(secs => p_lease_s) FROM due WHERE p.id = due.id
        RETURNING p.id)
    SELECT r.* FROM payment_rows r WHERE r.id IN (SELECT id FROM taken)
$$;
REVOKE ALL ON FUNCTION claim_payments FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_payments TO mall_app;

-- Records the outcome of a step. Returns what the caller may see of the payment then; NULL: another worker was faster.
--
-- p: id, from, to, wakes, next_s, route, and where there is one: ref, decline, unsure, stuck (the code). Nothing happens
-- unless the status is still `from`. The next look is at once when something came from outside meanwhile (`wakes` has
-- risen), else in next_s, else, with NULL, never. A refund that is done ends in `captured` while something of the
-- payment is left, else in `refunded`. `fee`: only so much of the hold was captured; what was let go counts as refunded.
CREATE FUNCTION step_payment(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint := (p ->> 'id')::bigint;
    v_from text := p ->> 'from';
    v_to text := p ->> 'to';
    v_back bigint := 0;
    v_fee bigint := (p ->> 'fee')::bigint;
    r record;
BEGIN
    PERFORM 1 FROM payments WHERE id = v_id AND status = v_from FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_from = 'refunding' AND v_to = 'refunded' THEN
        UPDATE payment_refunds SET status = 'done' WHERE payment_id = v_id AND status = 'wanted'
        RETURNING amount_minor INTO v_back;
    ELSIF v_from = 'held' AND v_to = 'captured' AND v_fee IS NOT NULL THEN
        INSERT INTO payment_refunds (payment_id, number, amount_minor, reason, by_id, status)
        SELECT v_id, 1, amount_minor - v_fee, 'not taken: the fee of a cancellation was', 'system', 'done'
          FROM payments WHERE id = v_id AND amount_minor > v_fee
        RETURNING amount_minor INTO v_back;
    END IF;
    UPDATE payments SET
           refunded_minor = refunded_minor + coalesce(v_back, 0),
           status = CASE WHEN v_from = 'refunding' AND v_to = 'refunded'
                              AND refunded_minor + coalesce(v_back, 0) < amount_minor THEN 'captured' ELSE v_to END,
           attempts = CASE WHEN v_to = v_from THEN attempts + 1 ELSE 0 END,
           unsure = v_to = v_from AND (unsure OR coalesce((p ->> 'unsure')::boolean, false)),
           stuck_code = p ->> 'stuck', stuck_at = CASE WHEN p ->> 'stuck' IS NOT NULL THEN clock_timestamp() END,
           gateway_ref = coalesce(p ->> 'ref', gateway_ref), decline_code = coalesce(p ->> 'decline', decline_code),
           token = CASE WHEN v_to = 'pending' THEN token END,
           due_at = CASE WHEN wakes <> (p ->> 'wakes')::integer AND p ->> 'stuck' IS NULL THEN now()
                         ELSE now() + make_interval(secs => (p ->> 'next_s')::double precision) END,
           updated_at = CASE WHEN v_to = v_from THEN updated_at ELSE clock_timestamp() END,
           version = CASE WHEN v_to = v_from AND p ->> 'stuck' IS NULL THEN version ELSE version + 1 END
     WHERE id = v_id
    RETURNING principal_id, key_hash INTO r;
    IF v_from = 'pending' AND v_to <> 'pending' THEN
        UPDATE idempotency SET code = v_to, facts = payment_shown(v_id)
         WHERE principal_id = r.principal_id AND route = p ->> 'route' AND key_hash = r.key_hash AND code = 'pending';
    END IF;
    RETURN payment_shown(v_id);
END
$$;
REVOKE ALL ON FUNCTION step_payment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION step_payment TO mall_app;

-- Records that the order's history knows the payment as of this version. Then nothing more is due, unless something
-- came meanwhile.
CREATE FUNCTION payment_told(p_id bigint, p_version integer, p_wakes integer) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE payments SET told = greatest(told, p_version),
           due_at = CASE WHEN version = p_version AND wakes = p_wakes THEN NULL ELSE due_at END
     WHERE id = p_id
$$;
REVOKE ALL ON FUNCTION payment_told FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payment_told TO mall_app;

-- What the caller may see of a payment, and what is kept under its key.
CREATE FUNCTION payment_shown(p_id bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT to_jsonb(r) - ARRAY['token', 'gateway_ref', 'wakes', 'attempts', 'trace', 'unsure', 'told', 'settled',
                               'waited_s', 'refund_number', 'refund_minor', 'refund_reason', 'refund_by', 'fee_minor']
      FROM payment_rows r WHERE r.id = p_id
$$;
REVOKE ALL ON FUNCTION payment_shown FROM PUBLIC;

-- An order that ends makes its payment due, in the same commit: for the capture or the release of the hold.
CREATE FUNCTION wake_payment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE payments SET wakes = wakes + 1, due_at = now()
     WHERE order_id = NEW.id AND status IN ('pending', 'held');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION wake_payment FROM PUBLIC;
CREATE TRIGGER orders_wake_payment AFTER UPDATE ON orders FOR EACH ROW
    WHEN (NEW.payment = 'card' AND NEW.status IN ('delivered', 'cancelled', 'undeliverable')
          AND NEW.status <> OLD.status)
    EXECUTE FUNCTION wake_payment();

-- Makes payments due that wait for longer than p_bound_s. No step is put off for so long: Postgres's clock was ahead
-- when they were put off, and was set back since.
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

-- As instances from before 0017_settling call step_payment(). Nothing calls it any more.
CREATE FUNCTION move_payment(p_id bigint, p_from text, p_to text, p_wakes integer, p_next_s double precision,
                             p_ref text, p_decline text, p_route text) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT step_payment(jsonb_build_object('id', p_id, 'from', p_from, 'to', p_to, 'wakes', p_wakes, 'next_s', p_next_s,
                                           'ref', p_ref, 'decline', p_decline, 'route', p_route))
$$;
REVOKE ALL ON FUNCTION move_payment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION move_payment TO mall_app;
