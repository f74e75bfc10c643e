-- Terms of orders: a time that the customer wants, a tip, a PIN at the door, a fee for a late cancellation.
ALTER TABLE orders ADD COLUMN terms jsonb;
ALTER TABLE zones ADD COLUMN delivery_rules jsonb;

CREATE OR REPLACE VIEW order_rows AS
SELECT o.id, o.shard, o.zone_id, o.store_id, o.pickups, o.ready_each, o.customer_id, o.contact_name, o.contact_phone,
       o.status, o.version, o.driver_id, o.round, o.mode, o.search, o.recent, o.writer,
       o.dropoff_lat, o.dropoff_lon, o.address, o.payment, o.notes, o.total_minor, o.currency,
       (extract(epoch FROM o.created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM o.updated_at) * 1000)::bigint AS updated_ms,
       (extract(epoch FROM o.ready_at) * 1000)::bigint AS ready_ms,
       (extract(epoch FROM o.due_at) * 1000)::bigint AS due_ms,
       (SELECT jsonb_agg(jsonb_build_array(i.product_id, i.name, i.quantity, i.price_minor) ORDER BY i.line)
          FROM order_items i WHERE i.order_id = o.id) AS items,
       o.driver_pay_minor,
       (extract(epoch FROM o.expected_at) * 1000)::bigint AS expected_ms,
       (extract(epoch FROM o.promised_at) * 1000)::bigint AS promised_ms,
       o.terms
  FROM orders o;

CREATE OR REPLACE VIEW payment_rows AS
SELECT p.id, p.order_id, o.customer_id, o.status AS order_status, p.method, p.status, p.amount_minor, p.currency,
       p.token, p.gateway_ref, p.decline_code, p.attempts, p.wakes, p.trace, p.version,
       (extract(epoch FROM p.created_at) * 1000)::bigint AS created_ms,
       (extract(epoch FROM p.updated_at) * 1000)::bigint AS updated_ms,
       p.refunded_minor, p.stuck_code, (extract(epoch FROM p.stuck_at) * 1000)::bigint AS stuck_ms,
       p.unsure, p.told, p.settled, extract(epoch FROM now() - p.updated_at)::double precision AS waited_s,
       r.number AS refund_number, r.amount_minor AS refund_minor, r.reason AS refund_reason, r.by_id AS refund_by,
       coalesce((o.search ->> 'fee')::bigint, 0) AS fee_minor
  FROM payments p JOIN orders o ON o.id = p.order_id
  LEFT JOIN LATERAL (SELECT f.* FROM payment_refunds f WHERE f.payment_id = p.id ORDER BY f.number DESC LIMIT 1) r
    ON true;

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

-- Functions as they are, but for these columns: each change must find its place once.
DO $$
DECLARE
    v_change text[]; v_text text;
BEGIN
    FOREACH v_change SLICE 1 IN ARRAY ARRAY[
        ['create_orders_in_turn(jsonb)',
         '    v_pickups jsonb; v_ready_each jsonb;
',
         '    v_pickups jsonb; v_ready_each jsonb; v_earliest_s double precision; v_held_s double precision;
'],
        ['create_orders(jsonb)',
         '            held_max integer, low_stock integer))',
         '            held_max integer, low_stock integer, wish jsonb))'],
        ['create_orders(jsonb)',
         '                                 held_max, low_stock, at)',
         '                                 held_max, low_stock, wish, at)'],
        ['create_orders(jsonb)',
         '        SELECT i.*, b.total, b.preparation_s,',
         '        SELECT i.*, w.total, z.delivery_rules, b.preparation_s,'],
        ['create_orders(jsonb)',
         '          FROM item i JOIN basket b USING (at) JOIN zones z ON z.id = b.zone_id
',
         '          FROM item i JOIN basket b USING (at) JOIN zones z ON z.id = b.zone_id
         CROSS JOIN LATERAL (SELECT b.total + coalesce((i.wish ->> ''tip_minor'')::bigint, 0) AS total) w
'],
        ['create_orders(jsonb)',
         '           AND coalesce(i.expected = b.total AND i.expected_currency = b.currency, true)
',
         '           AND coalesce(i.expected = w.total AND i.expected_currency = b.currency, true)
           AND i.wish ->> ''deliver_ms'' IS NULL
'],
        ['create_orders(jsonb)',
         '                            expected_at, promised_at)
',
         '                            expected_at, promised_at, terms)
'],
        ['create_orders(jsonb)',
         '               date_trunc(''milliseconds'', v_now + make_interval(secs => g.there_s + g.late_s))
',
         '               date_trunc(''milliseconds'', v_now + make_interval(secs => g.there_s + g.late_s)),
               CASE WHEN g.wish IS NOT NULL OR g.delivery_rules IS NOT NULL THEN order_terms(g.wish, g.delivery_rules) END
'],
        ['create_orders_in_turn(jsonb)',
         '        expected_currency text, unpaid_max integer, held_max integer, low_stock integer)
',
         '        expected_currency text, unpaid_max integer, held_max integer, low_stock integer, wish jsonb)
'],
        ['create_orders_in_turn(jsonb)',
         '               sum(p.price_minor * l.quantity)::bigint AS total,
',
         '               sum(p.price_minor * l.quantity)::bigint + coalesce((it.wish ->> ''tip_minor'')::bigint, 0) AS total,
'],
        ['create_orders_in_turn(jsonb)',
         '        IF v_code IS NULL THEN
            v_code := ''created'';
            SELECT o.mode, o.driver_pay_minor,',
         '        IF v_code IS NULL THEN
            SELECT o.mode, o.driver_pay_minor, o.delivery_rules,'],
        ['create_orders_in_turn(jsonb)',
         '             WHERE o.id = c.zone_id;
            WITH stop',
         '             WHERE o.id = c.zone_id;
            v_earliest_s := z.there_s + z.likely_s;
            v_held_s := held_back_s(it.wish, v_ms, v_earliest_s);
            IF (it.wish ->> ''deliver_ms'')::bigint < v_ms + 1000 * v_earliest_s THEN
                v_code := ''too_soon'';
                v_facts := jsonb_build_object(''earliest_ms'', ceil(v_ms + 1000 * v_earliest_s)::bigint);
            END IF;
        END IF;
        IF v_code IS NULL THEN
            v_code := ''created'';
            WITH stop'],
        ['create_orders_in_turn(jsonb)',
         'jsonb_agg(v_ms + 1000 * s.preparation_s ORDER BY s.first) END',
         'jsonb_agg(v_ms + (1000 * (s.preparation_s + v_held_s))::bigint ORDER BY s.first) END'],
        ['create_orders_in_turn(jsonb)',
         '                                expected_at, promised_at)
',
         '                                expected_at, promised_at, terms)
'],
        ['create_orders_in_turn(jsonb)',
         'v_now + make_interval(secs => c.preparation_s)),
',
         'v_now + make_interval(secs => c.preparation_s + v_held_s)),
'],
        ['create_orders_in_turn(jsonb)',
         'v_now + make_interval(secs => z.there_s + z.likely_s)),
',
         'v_now + make_interval(secs => z.there_s + z.likely_s + v_held_s)),
'],
        ['create_orders_in_turn(jsonb)',
         'v_now + make_interval(secs => z.there_s + z.late_s)));
',
         'v_now + make_interval(secs => z.there_s + z.late_s + v_held_s)),
                    CASE WHEN it.wish IS NOT NULL OR z.delivery_rules IS NOT NULL THEN order_terms(it.wish, z.delivery_rules) END);
'],
        ['find_unassigned(integer)',
         '               SELECT h.at, h.trace FROM order_events h
',
         '               SELECT order_opens(o.terms, o.ready_at, h.at) AS at, h.trace FROM order_events h
'],
        ['refresh_day(bigint,date)',
         'o.created_at, o.total_minor, o.currency, o.pickups, coalesce(o.driver_pay_minor, 0) AS pay_minor
          FROM order_listing',
         'o.created_at, o.total_minor - w.tip_minor AS total_minor, o.currency, o.pickups,
               coalesce(o.driver_pay_minor, 0) + w.tip_minor AS pay_minor
          FROM order_listing'],
        ['refresh_day(bigint,date)',
         '          FROM order_listing l JOIN orders o ON o.id = l.id
         WHERE l.zone_id = p_zone AND l.pickup = 1 AND l.created_at >= v_from',
         '          FROM order_listing l JOIN orders o ON o.id = l.id
         CROSS JOIN LATERAL (SELECT coalesce((o.terms ->> ''tip_minor'')::bigint, 0) AS tip_minor) w
         WHERE l.zone_id = p_zone AND l.pickup = 1 AND l.created_at >= v_from'],
        ['refresh_day(bigint,date)',
         'sum(coalesce(o.driver_pay_minor, 0)) AS pay_minor,
',
         'sum(coalesce(o.driver_pay_minor, 0) + coalesce((o.terms ->> ''tip_minor'')::bigint, 0)) AS pay_minor,
'],
        ['step_payment(jsonb)',
         '    v_back bigint := 0;
    r record;
BEGIN
',
         '    v_back bigint := 0;
    v_fee bigint := (p ->> ''fee'')::bigint;
    r record;
BEGIN
'],
        ['step_payment(jsonb)',
         '        RETURNING amount_minor INTO v_back;
    END IF;
',
         '        RETURNING amount_minor INTO v_back;
    ELSIF v_from = ''held'' AND v_to = ''captured'' AND v_fee IS NOT NULL THEN
        INSERT INTO payment_refunds (payment_id, number, amount_minor, reason, by_id, status)
        SELECT v_id, 1, amount_minor - v_fee, ''not taken: the fee of a cancellation was'', ''system'', ''done''
          FROM payments WHERE id = v_id AND amount_minor > v_fee
        RETURNING amount_minor INTO v_back;
    END IF;
'],
        ['payment_shown(bigint)',
         '''refund_reason'', ''refund_by'']',
         '''refund_reason'', ''refund_by'', ''fee_minor'']']]
    LOOP
        v_text := pg_get_functiondef(v_change[1]::regprocedure);
        IF length(v_text) - length(replace(v_text, v_change[2], '')) <> length(v_change[2]) THEN
            RAISE EXCEPTION '% has not "%" once', v_change[1], v_change[2];
        END IF;
        EXECUTE replace(v_text, v_change[2], v_change[3]);
    END LOOP;
END
$$;
