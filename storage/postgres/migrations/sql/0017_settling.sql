-- Payments that end: what a gateway refuses for good, what nobody answers for a day, what is given back in parts.
-- A payment that cannot go on is stuck: nobody asks for it any more until an operator has settled it.
ALTER TABLE payments
    ADD COLUMN unsure boolean NOT NULL DEFAULT false,         -- a call of this step may have had an effect
    ADD COLUMN stuck_code text,                               -- why it cannot go on, NULL: it can
    ADD COLUMN stuck_at timestamptz,
    ADD COLUMN settled jsonb,                                 -- by whom, why, and as which version: an operator's word
    ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN told integer NOT NULL DEFAULT 0,               -- the version that the order's history knows
    ADD CONSTRAINT payments_refunded CHECK (refunded_minor BETWEEN 0 AND amount_minor);
UPDATE payments SET told = version, refunded_minor = CASE status WHEN 'refunded' THEN amount_minor ELSE 0 END;
CREATE INDEX payments_stuck ON payments (id) WHERE stuck_code IS NOT NULL;
CREATE INDEX payments_ref ON payments (gateway_ref) WHERE gateway_ref IS NOT NULL;
CREATE INDEX payments_customer ON payments (principal_id, id);

-- What was given back of a payment, and why. At most one is wanted at a time.
CREATE TABLE payment_refunds (
    payment_id   bigint NOT NULL REFERENCES payments (id),
    number       integer NOT NULL CHECK (number >= 1),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    reason       text,
    by_id        text NOT NULL,
    key_hash     bytea,
    status       text NOT NULL CHECK (status IN ('wanted', 'done', 'refused')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, number),
    UNIQUE (payment_id, key_hash)
);
CREATE UNIQUE INDEX payment_refunds_wanted ON payment_refunds (payment_id) WHERE status = 'wanted';
INSERT INTO payment_refunds (payment_id, number, amount_minor, by_id, status)
SELECT id, 1, amount_minor, 'unknown', CASE status WHEN 'refunded' THEN 'done' ELSE 'wanted' END
  FROM payments WHERE status IN ('refunding', 'refunded');

CREATE OR REPLACE VIEW payment_rows AS
SELECT p.id, p.order_id, o.customer_id, o.status AS order_status, p.method, p.status, p.amount_minor, p.currency,
       p.token, p.gateway_ref, p.decline_code, p.attempts, p.wakes, p.trace, p.version,
       (extract(epoch FROM p.created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM p.updated_at) * 1000)::bigint AS updated_ms,
       p.refunded_minor, p.stuck_code, (extract(epoch FROM p.stuck_at) * 1000)::bigint AS stuck_ms,
       p.unsure, p.told, p.settled, extract(epoch FROM now() - p.updated_at)::double precision AS waited_s,
       r.number AS refund_number, r.amount_minor AS refund_minor, r.reason AS refund_reason, r.by_id AS refund_by
  FROM payments p JOIN orders o ON o.id = p.order_id
  LEFT JOIN LATERAL (SELECT f.* FROM payment_refunds f WHERE f.payment_id = p.id ORDER BY f.number DESC LIMIT 1) r
    ON true;

CREATE OR REPLACE FUNCTION payment_shown(p_id bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT to_jsonb(r) - ARRAY['token', 'gateway_ref', 'wakes', 'attempts', 'trace', 'unsure', 'told', 'settled',
                               'waited_s', 'refund_number', 'refund_minor', 'refund_reason', 'refund_by']
      FROM payment_rows r WHERE r.id = p_id
$$;

CREATE OR REPLACE FUNCTION claim_payments(p_limit integer, p_lease_s double precision) RETURNS SETOF payment_rows
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT id FROM payments WHERE due_at <= now() ORDER BY due_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED),
    taken AS (
        UPDATE payments p SET due_at = now() + make_interval(secs => p_lease_s) FROM due WHERE p.id = due.id
        RETURNING p.id)
    SELECT r.* FROM payment_rows r WHERE r.id IN (SELECT id FROM taken)
$$;

-- A step has an outcome; move_payment() of 0006_payments.sql with more to say. In p: id, from, to, wakes, next_s, route,
-- and where there is one: ref, decline, unsure, stuck (the code). Nothing happens when somebody else was faster.
-- A refund that is done ends in `captured` while something is left, else in `refunded`.
CREATE FUNCTION step_payment(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint := (p ->> 'id')::bigint;
    v_from text := p ->> 'from';
    v_to text := p ->> 'to';
    v_back bigint := 0;
    r record;
BEGIN
    PERFORM 1 FROM payments WHERE id = v_id AND status = v_from FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_from = 'refunding' AND v_to = 'refunded' THEN
        UPDATE payment_refunds SET status = 'done' WHERE payment_id = v_id AND status = 'wanted'
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

-- The order's history knows the payment as of this version; nothing more is to be done unless something came meanwhile.
CREATE FUNCTION payment_told(p_id bigint, p_version integer, p_wakes integer) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE payments SET told = greatest(told, p_version),
           due_at = CASE WHEN version = p_version AND wakes = p_wakes THEN NULL ELSE due_at END
     WHERE id = p_id
$$;

-- An admin wants money back: p has id, by, lease_s, and where given amount (all that is left without it), reason and key.
-- Codes: refunding, refunded, captured (this very refund is done already), not_found, invalid_transition,
-- refund_in_progress, refund_too_large (with what is left), key_reused.
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

-- An operator says how a payment that is stuck has ended, or that it is to be tried again. p: id, outcome, by, reason.
-- Codes: settled, not_found, invalid_transition (it is not stuck, or cannot end so).
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

-- Instances of the version before go on while this one starts.
CREATE OR REPLACE FUNCTION want_refund(p_id bigint, p_lease_s double precision) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT want_refund(jsonb_build_object('id', p_id, 'lease_s', p_lease_s, 'by', 'unknown')) ->> 'code'
$$;
CREATE OR REPLACE FUNCTION move_payment(p_id bigint, p_from text, p_to text, p_wakes integer,
                                        p_next_s double precision, p_ref text, p_decline text, p_route text)
RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT step_payment(jsonb_build_object('id', p_id, 'from', p_from, 'to', p_to, 'wakes', p_wakes, 'next_s', p_next_s,
                                           'ref', p_ref, 'decline', p_decline, 'route', p_route))
$$;

GRANT SELECT ON payment_refunds TO mall_app;
REVOKE ALL ON FUNCTION step_payment(jsonb), payment_told(bigint, integer, integer), want_refund(jsonb),
    settle_payment(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION step_payment(jsonb), payment_told(bigint, integer, integer), want_refund(jsonb),
    settle_payment(jsonb) TO mall_app;
