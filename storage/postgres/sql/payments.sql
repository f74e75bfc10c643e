-- Payments; every change goes through a function of functions/payments.sql or functions/refunds.sql.

-- name: payment_start
SELECT start_payment($1::jsonb);

-- name: payments_claim
SELECT * FROM claim_payments($1, $2);

-- name: payments_wake_late
SELECT wake_late_payments($1);

-- name: payment_step
SELECT step_payment($1::jsonb);

-- name: payment_told
SELECT payment_told($1, $2, $3);

-- name: payment_want_refund
SELECT want_refund($1::jsonb);

-- name: payment_settle
SELECT settle_payment($1::jsonb);

-- name: payment_get
SELECT * FROM payment_rows WHERE id = $1;

-- name: payments_open
-- For gauges: how many wait for a step, and for how long the first has; how many are stuck; how many keys are kept, as
-- last estimated.
SELECT count(*) AS many, (SELECT count(*) FROM payments WHERE stuck_code IS NOT NULL) AS stuck, coalesce(extract(epoch FROM now() - min(due_at)), 0)::double precision AS late_s,
       (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'idempotency'::regclass) AS keys
  FROM payments WHERE due_at IS NOT NULL;
