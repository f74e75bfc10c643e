-- Terms of an order: what its customer asked for beside the goods, and the zone's rules as they were at placing. They are
-- kept as JSON, for most orders have none; dispatch/domain/order.py (Terms) reads them:
--   deliver_ms   when the customer wants it, in milliseconds
--   ahead_s      how long before its goods are ready such an order is offered for the first time
--   tip_minor    the driver's tip; it is part of the total
--   pin          four digits that the customer tells the driver at the door
--   fee_minor    what the customer pays for a cancellation after a driver has accepted

-- Terms from a customer's wish (deliver_ms, tip_minor, pin) and a zone's rules (zones.delivery_rules). NULL: none. The PIN is
-- drawn here, from Postgres's strong source of randomness.
CREATE FUNCTION order_terms(p_wish jsonb, p_delivery jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT nullif(jsonb_strip_nulls(jsonb_build_object(
               'deliver_ms', (p_wish ->> 'deliver_ms')::bigint,
               'ahead_s', CASE WHEN p_wish ->> 'deliver_ms' IS NOT NULL
                               THEN coalesce((p_delivery ->> 'offer_ahead_s')::integer, 1200) END,
               'tip_minor', nullif((p_wish ->> 'tip_minor')::bigint, 0),
               'pin', CASE WHEN (p_wish ->> 'pin')::boolean OR (p_delivery ->> 'dropoff_pin')::boolean
                           THEN lpad((('x' || left(gen_random_uuid()::text, 8))::bit(32)::bigint
                                      % 10000)::text, 4, '0') END,
               'fee_minor', nullif((p_delivery ->> 'cancellation_fee_minor')::bigint, 0))), '{}')
$$;

-- Seconds by which an order that is wanted at a time is held back, so that it is at the door then. p_earliest_s: seconds
-- from now to the earliest time at the door. 0: it is not held back.
CREATE FUNCTION held_back_s(p_wish jsonb, p_now_ms bigint, p_earliest_s double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(greatest(0, ((p_wish ->> 'deliver_ms')::bigint - p_now_ms) / 1000.0 - p_earliest_s), 0)
$$;

-- Since when drivers are asked for an order that was open from p_from on.
CREATE FUNCTION order_opens(p_terms jsonb, p_ready timestamptz, p_from timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_terms ->> 'deliver_ms' IS NULL THEN p_from
                ELSE greatest(p_from, p_ready - make_interval(secs => (p_terms ->> 'ahead_s')::integer)) END
$$;
