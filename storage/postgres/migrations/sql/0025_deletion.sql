-- 0023_orderable.sql took up an older text of this function, which left the answers kept for repetitions and the drivers'
-- feeds as they were.
-- Nothing of a person is left but a number that orders refer to. 'busy' while there are orders under way: their rows
-- belong to actors, and the goods to somebody.
CREATE OR REPLACE FUNCTION anonymise_user(p_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_orders  bigint[];
    v_drivers bigint[];
BEGIN
    PERFORM FROM users WHERE id = p_id FOR UPDATE;  -- new orders wait for us
    IF EXISTS (SELECT FROM orders WHERE customer_id = p_id
                AND status NOT IN ('delivered', 'cancelled', 'undeliverable'))
       OR EXISTS (SELECT FROM assignment WHERE driver_id = p_id) THEN
        RETURN 'busy';
    END IF;
    UPDATE users SET email = 'usr_' || id || '@deleted.invalid', email_key = 'usr_' || id || '@deleted.invalid',
           name = 'Deleted', password_hash = NULL, status = 'deleted', version = version + 1
     WHERE id = p_id;
    UPDATE sessions SET network = NULL WHERE user_id = p_id;
    UPDATE orders SET address = 'deleted', notes = NULL, contact_name = NULL, contact_phone = NULL, dropoff_lat = round(dropoff_lat::numeric, 2),
           dropoff_lon = round(dropoff_lon::numeric, 2)
     WHERE customer_id = p_id;
    -- What tells of these orders elsewhere: the answers that are kept for repetitions, and entries of drivers' feeds, which
    -- are found by their drivers.
    UPDATE idempotency k SET facts = k.facts || jsonb_build_object('address', o.address, 'notes', o.notes,
           'dropoff_lat', o.dropoff_lat, 'dropoff_lon', o.dropoff_lon, 'contact_name', o.contact_name,
           'contact_phone', NULL)
      FROM orders o
     WHERE k.principal_id = p_id AND o.customer_id = p_id AND k.facts ->> 'id' = o.id::text AND k.facts ? 'address';
    v_orders := ARRAY(SELECT id FROM orders WHERE customer_id = p_id);
    v_drivers := ARRAY(
        SELECT driver_id FROM orders WHERE customer_id = p_id AND driver_id IS NOT NULL
        UNION
        SELECT (d #>> '{}')::bigint
          FROM order_events e CROSS JOIN LATERAL jsonb_array_elements(
               CASE jsonb_typeof(e.data -> 'drivers') WHEN 'array' THEN e.data -> 'drivers' END) d
         WHERE e.order_id = ANY (v_orders) AND e.type = 'offered' AND d #>> '{}' ~ '^[0-9]+$'
        UNION
        SELECT substr(e.data ->> 'driver_id', 5)::bigint FROM order_events e
         WHERE e.order_id = ANY (v_orders) AND e.data ->> 'driver_id' ~ '^drv_[0-9]+$');
    UPDATE driver_events f SET data = jsonb_set(jsonb_set(jsonb_set(f.data, '{dropoff}', jsonb_build_object(
               'lat', round((f.data #>> '{dropoff,lat}')::numeric, 2),
               'lon', round((f.data #>> '{dropoff,lon}')::numeric, 2))), '{notes}', 'null', false),
               '{contact}', 'null', false)
     WHERE f.driver_id = ANY (v_drivers) AND f.order_id = ANY (v_orders)
       AND f.data #> '{dropoff,lat}' IS NOT NULL;
    UPDATE drivers SET lat = NULL, lon = NULL, located_at = NULL WHERE id = p_id;
    RETURN 'ok';
END
$$;
