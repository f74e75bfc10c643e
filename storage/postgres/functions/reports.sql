-- Reports: orders that wait too long for a driver, figures of days, digests for drivers.
--
-- A day begins at midnight in the time zone of the zone. Figures of orders belong to the day on which they were placed,
-- what drivers have delivered and collected to the day of the delivery. A figure is computed from the orders and never
-- counted on, so computing it again gives the truth, however late something has changed.
--
-- Their plans look rows up by index, with nested loops: one that was made while a table was empty, when reading all of it
-- was cheap, is kept by the session.

-- Tells of orders that have been without a driver for longer than their zone allows: once an order and round, by rows of
-- the outbox. The orders themselves are only read. Returns how many were found, p_limit at most. It also deletes what it
-- remembers of orders that have ended.
CREATE FUNCTION find_unassigned(p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_found integer;
BEGIN
    WITH waiting AS MATERIALIZED (
        SELECT o.id, o.round, o.version, e.trace, extract(epoch FROM now() - e.at)::bigint AS waited_s
          FROM orders o JOIN zones z ON z.id = o.zone_id
         CROSS JOIN LATERAL (
               -- Since when it is open for drivers, in this round.
               SELECT order_opens(o.terms, o.ready_at, h.at) AS at, h.trace FROM order_events h
                WHERE h.order_id = o.id AND h.type IN ('created', 'paid', 'released')
                ORDER BY h.version DESC LIMIT 1) e
         WHERE o.status = 'confirmed' AND o.created_at <= now() - make_interval(secs => z.unassigned_after_s)
           AND e.at <= now() - make_interval(secs => z.unassigned_after_s)
           AND NOT EXISTS (SELECT FROM order_alerts a WHERE a.order_id = o.id AND a.round = o.round)
         ORDER BY o.id LIMIT p_limit
    ), marked AS (
        INSERT INTO order_alerts (order_id, round) SELECT w.id, w.round FROM waiting w ORDER BY w.id
        ON CONFLICT DO NOTHING RETURNING order_id
    )
    INSERT INTO outbox (topic, ref, version, trace, data)
    SELECT 'alert', w.id, w.version, w.trace,
           jsonb_build_object('event', 'unassigned', 'round', w.round, 'waited_s', w.waited_s)
      FROM waiting w JOIN marked m ON m.order_id = w.id ORDER BY w.id;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    DELETE FROM order_alerts WHERE (order_id, round) IN (
        SELECT a.order_id, a.round FROM order_alerts a JOIN orders o ON o.id = a.order_id
         WHERE o.status IN ('delivered', 'cancelled', 'undeliverable') LIMIT p_limit);
    RETURN v_found;
END
$$;
REVOKE ALL ON FUNCTION find_unassigned FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_unassigned TO mall_app;

-- Marks the days whose figures the next p_limit events of the log change: the day on which the order was placed, and the
-- day of a delivery. Returns how many events were read; the caller comes again while there are many.
CREATE FUNCTION mark_report_days(p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_from bigint; v_to bigint;
BEGIN
    SELECT pos INTO v_from FROM report_cursor FOR UPDATE;
    SELECT least(pos, v_from + p_limit) INTO v_to FROM event_log_end;
    INSERT INTO report_days (zone_id, day)
    SELECT DISTINCT x.zone_id, x.day FROM (
        SELECT z.id AS zone_id, (t.at AT TIME ZONE z.time_zone)::date AS day
          FROM event_log e JOIN orders o ON o.id = e.order_id JOIN zones z ON z.id = o.zone_id
         CROSS JOIN LATERAL unnest(ARRAY[o.created_at, CASE WHEN e.type = 'order.delivered' THEN e.at END]) AS t(at)
         WHERE e.pos > v_from AND e.pos <= v_to AND t.at IS NOT NULL) x
     ORDER BY x.zone_id, x.day
    ON CONFLICT DO NOTHING;
    UPDATE report_cursor SET pos = v_to WHERE v_to > v_from;
    RETURN greatest(0, v_to - v_from);
END
$$;
REVOKE ALL ON FUNCTION mark_report_days FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mark_report_days TO mall_app;

-- Computes the figures of the newest day that is marked, and removes the mark. Returns false when none is marked.
CREATE FUNCTION refresh_marked_day() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_next report_days;
BEGIN
    DELETE FROM report_days WHERE (zone_id, day) = (
        SELECT zone_id, day FROM report_days ORDER BY day DESC, zone_id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING * INTO v_next;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM refresh_day(v_next.zone_id, v_next.day);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION refresh_marked_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_marked_day TO mall_app;

-- Computes the figures of a zone and its stores for a day, and what its drivers delivered on that day. May be repeated.
--
-- The first statement:
--   placed     orders that were placed on the day; a local midnight may come twice or never, so the date decides
--   ended      with their end, and what was given back
--   part       each order once for the zone (store 0) and once for each of its stores, with that store's items
--   counts, cancels, sums   by store; sums also by currency
-- Refunds and drivers' pay of an order with several stores are in the zone's figures only.
CREATE FUNCTION refresh_day(p_zone bigint, p_day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_time_zone text := (SELECT time_zone FROM zones WHERE id = p_zone);
    v_from timestamptz := p_day::timestamp AT TIME ZONE v_time_zone - interval '3 hours';
    v_to timestamptz := (p_day + 1)::timestamp AT TIME ZONE v_time_zone + interval '3 hours';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('report/' || p_zone || '/' || p_day, 0));
    WITH placed AS MATERIALIZED (
        SELECT o.id, o.status, o.created_at, o.total_minor - w.tip_minor AS total_minor, o.currency, o.pickups,
               coalesce(o.driver_pay_minor, 0) + w.tip_minor AS pay_minor
          FROM order_listing l JOIN orders o ON o.id = l.id
         CROSS JOIN LATERAL (SELECT coalesce((o.terms ->> 'tip_minor')::bigint, 0) AS tip_minor) w
         WHERE l.zone_id = p_zone AND l.pickup = 1 AND l.created_at >= v_from AND l.created_at < v_to
           AND (l.created_at AT TIME ZONE v_time_zone)::date = p_day
    ), ended AS MATERIALIZED (
        SELECT p.*, p.status = 'delivered' AS delivered, e.actor_role AS role,
               extract(epoch FROM e.at - p.created_at)::double precision AS took_s,
               (SELECT coalesce(sum(f.refunded_minor), 0) FROM payments f WHERE f.order_id = p.id) AS refunded_minor
          FROM placed p
          LEFT JOIN LATERAL (SELECT h.at, h.actor_role FROM order_events h
                              WHERE h.order_id = p.id AND h.type = p.status ORDER BY h.version LIMIT 1) e
            ON p.status IN ('delivered', 'cancelled')
    ), part AS MATERIALIZED (
        SELECT 0::bigint AS store_id, status, delivered, role, took_s, currency,
               total_minor, refunded_minor, pay_minor FROM ended
        UNION ALL
        SELECT (s.pickup ->> 0)::bigint, n.status, n.delivered, n.role, n.took_s, n.currency,
               CASE WHEN o.one THEN n.total_minor ELSE (
                   SELECT sum(i.quantity * i.price_minor)::bigint FROM order_items i
                    WHERE i.order_id = n.id AND (s.pickup -> 5) @> to_jsonb(i.line - 1)) END,
               CASE WHEN o.one THEN n.refunded_minor ELSE 0 END, CASE WHEN o.one THEN n.pay_minor ELSE 0 END
          FROM ended n CROSS JOIN LATERAL jsonb_array_elements(n.pickups) AS s(pickup)
         CROSS JOIN LATERAL (SELECT jsonb_array_length(n.pickups) = 1 AS one) o
    ), counts AS MATERIALIZED (
        SELECT store_id, count(*) AS orders, count(*) FILTER (WHERE delivered) AS delivered,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
               count(*) FILTER (WHERE status = 'undeliverable') AS undeliverable,
               avg(took_s) FILTER (WHERE delivered) AS mean_s,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE delivered) AS p90_s
          FROM part GROUP BY store_id
    ), cancels AS (
        SELECT c.store_id, jsonb_object_agg(c.role, c.many) AS by_role
          FROM (SELECT store_id, coalesce(role, 'unknown') AS role, count(*) AS many
                  FROM part WHERE status = 'cancelled' GROUP BY 1, 2) c
         GROUP BY c.store_id
    ), sums AS (
        SELECT m.store_id, jsonb_agg(jsonb_build_object('currency', m.currency, 'revenue_minor', m.revenue_minor,
                   'refunded_minor', m.refunded_minor, 'driver_pay_minor', m.pay_minor) ORDER BY m.currency) AS amounts
          FROM (SELECT store_id, currency, coalesce(sum(total_minor) FILTER (WHERE delivered), 0) AS revenue_minor,
                       sum(refunded_minor) AS refunded_minor,
                       coalesce(sum(pay_minor) FILTER (WHERE delivered), 0) AS pay_minor
                  FROM part GROUP BY store_id, currency) m
         GROUP BY m.store_id
    ), gone AS (
        DELETE FROM daily_figures d WHERE d.zone_id = p_zone AND d.day = p_day
           AND NOT d.store_id = ANY (ARRAY(SELECT store_id FROM counts))
    )
    INSERT INTO daily_figures AS f (zone_id, store_id, day, orders, delivered, cancelled, undeliverable, delivery_mean_s,
                                    delivery_p90_s, cancelled_by, amounts)
    SELECT p_zone, c.store_id, p_day, c.orders, c.delivered, c.cancelled, c.undeliverable, c.mean_s, c.p90_s,
           coalesce(w.by_role, '{}'), s.amounts
      FROM counts c JOIN sums s USING (store_id) LEFT JOIN cancels w USING (store_id) ORDER BY c.store_id
    ON CONFLICT (zone_id, day, store_id) DO UPDATE
       SET orders = excluded.orders, delivered = excluded.delivered, cancelled = excluded.cancelled,
           undeliverable = excluded.undeliverable, delivery_mean_s = excluded.delivery_mean_s,
           delivery_p90_s = excluded.delivery_p90_s, cancelled_by = excluded.cancelled_by, amounts = excluded.amounts,
           made_at = clock_timestamp();

    WITH made AS MATERIALIZED (
        SELECT o.driver_id, o.currency, count(*) AS deliveries, sum(coalesce(o.driver_pay_minor, 0) + coalesce((o.terms ->> 'tip_minor')::bigint, 0)) AS pay_minor,
               coalesce(sum(o.total_minor) FILTER (WHERE o.payment = 'cash'), 0) AS cash_minor
          FROM order_events e JOIN orders o ON o.id = e.order_id
         WHERE e.type = 'delivered' AND e.at >= v_from AND e.at < v_to
           AND (e.at AT TIME ZONE v_time_zone)::date = p_day
           AND o.zone_id = p_zone AND o.status = 'delivered' AND o.driver_id IS NOT NULL
         GROUP BY o.driver_id, o.currency
    ), gone AS (
        DELETE FROM daily_cash d WHERE d.zone_id = p_zone AND d.day = p_day
           AND NOT EXISTS (SELECT FROM made m WHERE m.driver_id = d.driver_id AND m.currency = d.currency)
    )
    INSERT INTO daily_cash (zone_id, driver_id, day, currency, deliveries, pay_minor, cash_minor)
    SELECT p_zone, m.driver_id, p_day, m.currency, m.deliveries, m.pay_minor, m.cash_minor
      FROM made m ORDER BY m.driver_id, m.currency
    ON CONFLICT (zone_id, day, driver_id, currency) DO UPDATE
       SET deliveries = excluded.deliveries, pay_minor = excluded.pay_minor, cash_minor = excluded.cash_minor,
           made_at = clock_timestamp();
END
$$;
REVOKE ALL ON FUNCTION refresh_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_day TO mall_app;

-- Makes the digests of yesterday for the drivers of one zone where the day has ended p_after_s ago, each once. With
-- p_task a job of it is added for each, with the digest as payload, in the same commit. Returns the zone; NULL when no
-- zone is due. Digests are kept for five weeks.
CREATE FUNCTION make_digests(p_task text, p_after_s integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v record; v_jobs jsonb;
BEGIN
    SELECT z.id, y.day INTO v
      FROM zones z
     CROSS JOIN LATERAL (
           SELECT ((now() - make_interval(secs => p_after_s)) AT TIME ZONE z.time_zone)::date - 1 AS day) y
      LEFT JOIN digest_days d ON d.zone_id = z.id
     WHERE d.day IS NULL OR d.day < y.day ORDER BY z.id LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM refresh_day(v.id, v.day);
    WITH made AS (
        INSERT INTO driver_digests (zone_id, driver_id, day, deliveries, amounts)
        SELECT c.zone_id, c.driver_id, c.day, sum(c.deliveries),
               jsonb_agg(jsonb_build_object('currency', c.currency, 'pay_minor', c.pay_minor, 'cash_minor', c.cash_minor)
                         ORDER BY c.currency)
          FROM daily_cash c WHERE c.zone_id = v.id AND c.day = v.day GROUP BY c.zone_id, c.driver_id, c.day
         ORDER BY c.driver_id
        ON CONFLICT DO NOTHING RETURNING *
    )
    SELECT jsonb_agg(jsonb_build_object(
               'task', p_task, 'key', p_task || '/' || m.driver_id, 'trace', replace(gen_random_uuid()::text, '-', ''),
               'payload', jsonb_build_object('driver_id', m.driver_id, 'zone_id', m.zone_id, 'day', m.day,
                                             'deliveries', m.deliveries, 'amounts', m.amounts)) ORDER BY m.driver_id)
      INTO v_jobs FROM made m;
    IF p_task IS NOT NULL AND v_jobs IS NOT NULL THEN
        PERFORM enqueue_jobs(v_jobs);
    END IF;
    DELETE FROM driver_digests WHERE zone_id = v.id AND day < v.day - 35;
    INSERT INTO digest_days AS d (zone_id, day) VALUES (v.id, v.day)
    ON CONFLICT (zone_id) DO UPDATE SET day = greatest(d.day, excluded.day);
    RETURN v.id;
END
$$;
REVOKE ALL ON FUNCTION make_digests FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_digests TO mall_app;

-- What trips saved -----------------------------------------------------------------------------------------------------
--
-- A day that is over p_after_s ago and whose saved distance is not known yet, the newest first: its zone, the zone's
-- `planning`, and its delivered orders, the first p_limit that were placed. Of each order: number, store, places of store
-- and door, when it was ready, picked up and promised (seconds), its trip and its place in it. NULL: there is none.
CREATE FUNCTION next_pooling_day(p_after_s integer, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v record; v_from timestamptz; v_to timestamptz; v_orders jsonb;
BEGIN
    SELECT f.zone_id, f.day, z.planning, z.time_zone INTO v
      FROM daily_figures f JOIN zones z ON z.id = f.zone_id
     WHERE f.day >= current_date - 35 AND f.store_id = 0 AND f.saved_m IS NULL AND f.delivered > 0 AND z.plan IS NOT NULL
       AND f.day < ((now() - make_interval(secs => p_after_s)) AT TIME ZONE z.time_zone)::date
     ORDER BY f.day DESC, f.zone_id LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_from := v.day::timestamp AT TIME ZONE v.time_zone - interval '3 hours';
    v_to := (v.day + 1)::timestamp AT TIME ZONE v.time_zone + interval '3 hours';
    SELECT coalesce(jsonb_agg(jsonb_build_array(
               o.id, (o.pickups -> 0 ->> 0)::bigint, (o.pickups -> 0 ->> 2)::double precision,
               (o.pickups -> 0 ->> 3)::double precision, o.dropoff_lat, o.dropoff_lon,
               extract(epoch FROM o.ready_at)::double precision,
               (SELECT extract(epoch FROM max(e.at))::double precision FROM order_events e
                 WHERE e.order_id = o.id AND e.type = 'picked_up'),
               extract(epoch FROM o.promised_at)::double precision,
               o.search -> 'trip' ->> 0,
               (SELECT min(t.place) FROM jsonb_array_elements_text(o.search -> 'trip' -> 1)
                       WITH ORDINALITY AS t(number, place) WHERE t.number = o.id::text)) ORDER BY o.id), '[]')
      INTO v_orders
      FROM (SELECT l.id FROM order_listing l JOIN orders d ON d.id = l.id AND d.status = 'delivered'
             WHERE l.zone_id = v.zone_id AND l.pickup = 1 AND l.created_at >= v_from AND l.created_at < v_to
               AND (l.created_at AT TIME ZONE v.time_zone)::date = v.day
             ORDER BY l.created_at, l.id LIMIT p_limit) l
      JOIN orders o ON o.id = l.id;
    RETURN jsonb_build_object('zone_id', v.zone_id, 'day', v.day, 'planning', v.planning, 'orders', v_orders);
END
$$;
REVOKE ALL ON FUNCTION next_pooling_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION next_pooling_day TO mall_app;

-- Keeps what a day's orders would have been alone, what their trips saved, and what no trips could exceed, in metres.
CREATE FUNCTION keep_pooling_day(
    p_zone bigint, p_day date, p_alone_m double precision, p_saved_m double precision, p_bound_m double precision
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE daily_figures SET alone_m = p_alone_m, saved_m = p_saved_m, saved_bound_m = p_bound_m,
                             made_at = clock_timestamp()
     WHERE zone_id = p_zone AND day = p_day AND store_id = 0
$$;
REVOKE ALL ON FUNCTION keep_pooling_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_pooling_day TO mall_app;
