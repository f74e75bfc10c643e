-- What a driver is paid for a delivery: a zone sets it, an order keeps what it was placed with, and offers show it.
ALTER TABLE zones ADD COLUMN driver_pay_minor integer CHECK (driver_pay_minor BETWEEN 0 AND 1000000000);
ALTER TABLE orders ADD COLUMN driver_pay_minor integer;

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
       o.driver_pay_minor
  FROM orders o;

-- The two functions that place orders, as they are, but for this column: each change must find its place once.
DO $$
DECLARE
    v_change text[]; v_text text;
BEGIN
    FOREACH v_change SLICE 1 IN ARRAY ARRAY[
        ['create_orders_in_turn(jsonb)', 'SELECT mode, (v_at', 'SELECT mode, driver_pay_minor, (v_at'],
        ['create_orders_in_turn(jsonb)', 'ready_each, contact_name, contact_phone)',
         'ready_each, contact_name, contact_phone, driver_pay_minor)'],
        ['create_orders_in_turn(jsonb)', 'it.customer)), it.contact_phone);',
         'it.customer)), it.contact_phone, z.driver_pay_minor);'],
        ['create_orders(jsonb)', 'b.zone_id, z.mode,', 'b.zone_id, z.mode, z.driver_pay_minor,'],
        ['create_orders(jsonb)', 'ready_each, contact_name, contact_phone)',
         'ready_each, contact_name, contact_phone, driver_pay_minor)'],
        ['create_orders(jsonb)', 'g.customer)), g.contact_phone', 'g.customer)), g.contact_phone, g.driver_pay_minor']]
    LOOP
        v_text := pg_get_functiondef(v_change[1]::regprocedure);
        IF length(v_text) - length(replace(v_text, v_change[2], '')) <> length(v_change[2]) THEN
            RAISE EXCEPTION '% has not "%" once', v_change[1], v_change[2];
        END IF;
        EXECUTE replace(v_text, v_change[2], v_change[3]);
    END LOOP;
END
$$;
