-- Where a batch meets a table, the condition is `= ANY (ARRAY[x])` and not `= x`: the planner cannot turn such a loop
-- around and read the whole table, which it did when it believed that the table was empty. Each change must find its
-- place as often as is said.
DO $$
DECLARE
    v_change text[]; v_text text;
BEGIN
    FOREACH v_change SLICE 1 IN ARRAY ARRAY[
        ['flush(integer[],bigint[],bigint[],jsonb,jsonb,boolean)', 'products WHERE id IN (
            SELECT i.product_id FROM order_items i
             WHERE i.order_id IN (SELECT x.id FROM jsonb_to_recordset(p_orders) AS x(id bigint, restock boolean)
                                   WHERE x.restock)) ORDER', 'products WHERE id = ANY (ARRAY(
            SELECT i.product_id FROM order_items i
             WHERE i.order_id = ANY (ARRAY(SELECT x.id FROM jsonb_to_recordset(p_orders) AS x(id bigint, restock boolean)
                                            WHERE x.restock)))) ORDER', '1'],
        ['flush_orders(jsonb)', 'a.order_id = n.id', 'a.order_id = ANY (ARRAY[n.id])', '1'],
        ['flush_orders(jsonb)', 'AND o.id = n.id', 'AND o.id = ANY (ARRAY[n.id])', '1'],
        ['flush_orders(jsonb)', 'l.order_id = n.id', 'l.order_id = ANY (ARRAY[n.id])', '1'],
        ['flush_orders(jsonb)', 'p.id = b.product_id', 'p.id = ANY (ARRAY[b.product_id])', '1'],
        ['flush_orders(jsonb)', 'd.id = e.driver', 'd.id = ANY (ARRAY[e.driver])', '3'],
        ['flush_orders(jsonb)', 's.id = i.shard', 's.id = ANY (ARRAY[i.shard])', '1'],
        ['flush_orders(jsonb)', 'o.id = i.id AND', 'o.id = ANY (ARRAY[i.id]) AND', '1'],
        ['flush_orders(jsonb)', 'd.id = i.take', 'd.id = ANY (ARRAY[i.take])', '1'],
        ['flush_drivers(jsonb)', 's.id = x.shard', 's.id = ANY (ARRAY[x.shard])', '1'],
        ['flush_drivers(jsonb)', 'd.id = i.id', 'd.id = ANY (ARRAY[i.id])', '1']]
    LOOP
        v_text := pg_get_functiondef(v_change[1]::regprocedure);
        IF length(v_text) - length(replace(v_text, v_change[2], '')) <> length(v_change[2]) * v_change[4]::integer THEN
            RAISE EXCEPTION '% has not "%" % times', v_change[1], v_change[2], v_change[4];
        END IF;
        EXECUTE replace(v_text, v_change[2], v_change[3]);
    END LOOP;
END
$$;
