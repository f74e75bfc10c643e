-- Finding who blocks a commit. Called after flush() or create_orders() has waited too long for a lock, never before:
-- a person may hold a row in psql. The items that need this row are then set aside, and the others go on. Nothing
-- here waits.

-- The locks that flush() would have to wait for, and who holds them.
--
-- `key` is what an item needs: 'table', or a row by its kind and number; 'restock 7' is a product of order 7.
-- `held` is what is locked, for the log.
CREATE FUNCTION blockers(p_shards integer[], p_drivers bigint[], p_orders bigint[], p_restocked bigint[])
RETURNS TABLE (key text, held text, pid integer, username text, application text, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_free bigint[];
BEGIN
    RETURN QUERY SELECT * FROM table_blockers(ARRAY['shard', 'products', 'drivers', 'orders', 'order_events', 'order_items',
                                                    'assignment', 'driver_events']);
    IF FOUND THEN
        RETURN;  -- to look at a row of a locked table would be to wait
    END IF;

    v_free := ARRAY(SELECT id FROM shard WHERE id = ANY (p_shards) FOR SHARE SKIP LOCKED);
    RETURN QUERY SELECT 'shard ' || s.id, 'shard ' || s.id, h.*
                   FROM shard s CROSS JOIN LATERAL lock_holder(s.xmax) h
                  WHERE s.id = ANY (p_shards) AND s.id <> ALL (v_free);

    v_free := ARRAY(SELECT id FROM products WHERE id IN (
                        SELECT i.product_id FROM order_items i WHERE i.order_id = ANY (p_restocked))
                       FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'restock ' || i.order_id, 'product ' || p.id, h.*
                   FROM order_items i JOIN products p ON p.id = i.product_id CROSS JOIN LATERAL lock_holder(p.xmax) h
                  WHERE i.order_id = ANY (p_restocked) AND p.id <> ALL (v_free);

    v_free := ARRAY(SELECT id FROM drivers WHERE id = ANY (p_drivers) FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'driver ' || d.id, 'driver ' || d.id, h.*
                   FROM drivers d CROSS JOIN LATERAL lock_holder(d.xmax) h
                  WHERE d.id = ANY (p_drivers) AND d.id <> ALL (v_free);

    v_free := ARRAY(SELECT id FROM orders WHERE id = ANY (p_orders) FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'order ' || o.id, 'order ' || o.id, h.*
                   FROM orders o CROSS JOIN LATERAL lock_holder(o.xmax) h
                  WHERE o.id = ANY (p_orders) AND o.id <> ALL (v_free);

    v_free := ARRAY(SELECT order_id FROM assignment WHERE order_id = ANY (p_orders) FOR UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'order ' || a.order_id, 'assignment of order ' || a.order_id, h.*
                   FROM assignment a CROSS JOIN LATERAL lock_holder(a.xmax) h
                  WHERE a.order_id = ANY (p_orders) AND a.order_id <> ALL (v_free);
END
$$;
REVOKE ALL ON FUNCTION blockers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION blockers TO mall_app;

-- The same for create_orders(): limited products, the customers that order_listing refers to, the counters of stores.
CREATE FUNCTION creation_blockers(p_products bigint[], p_customers bigint[])
RETURNS TABLE (key text, held text, pid integer, username text, application text, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_free bigint[];
BEGIN
    RETURN QUERY SELECT * FROM table_blockers(ARRAY['products', 'orders', 'order_items', 'order_events', 'order_listing',
                                                    'idempotency', 'store_days']);
    IF FOUND THEN
        RETURN;
    END IF;
    v_free := ARRAY(SELECT id FROM products WHERE id = ANY (p_products) FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY SELECT 'product ' || p.id, 'product ' || p.id, h.*
                   FROM products p CROSS JOIN LATERAL lock_holder(p.xmax) h
                  WHERE p.id = ANY (p_products) AND p.stock IS NOT NULL AND p.id <> ALL (v_free);
    v_free := ARRAY(SELECT id FROM users WHERE id = ANY (p_customers) FOR KEY SHARE SKIP LOCKED);
    RETURN QUERY SELECT 'customer ' || u.id, 'customer ' || u.id, h.*
                   FROM users u CROSS JOIN LATERAL lock_holder(u.xmax) h
                  WHERE u.id = ANY (p_customers) AND u.id <> ALL (v_free);
    -- Whatever the time zone, orders of now are counted in one of these days.
    PERFORM 1 FROM store_days WHERE store_id IN (SELECT store_id FROM products WHERE id = ANY (p_products))
       AND day > current_date - 2 FOR NO KEY UPDATE SKIP LOCKED;
    RETURN QUERY SELECT 'product ' || p.id, 'numbers of store ' || d.store_id, h.*
                   FROM products p JOIN store_days d ON d.store_id = p.store_id AND d.day > current_date - 2
                  CROSS JOIN LATERAL lock_holder(d.xmax) h
                  WHERE p.id = ANY (p_products) AND h.pid <> pg_backend_pid();
END
$$;
REVOKE ALL ON FUNCTION creation_blockers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION creation_blockers TO mall_app;

-- Tables among these that cannot be written, and by whom they are locked.
CREATE FUNCTION table_blockers(p_tables text[])
RETURNS TABLE (key text, held text, pid integer, username text, application text, state text)
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY p_tables LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %I IN ROW EXCLUSIVE MODE NOWAIT', v_table);
        EXCEPTION WHEN lock_not_available THEN
            RETURN QUERY
                SELECT 'table', 'table ' || v_table, l.pid, a.usename::text, a.application_name, a.state
                  FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
                 WHERE l.locktype = 'relation' AND l.relation = v_table::regclass AND l.pid <> pg_backend_pid()
                   AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                 ORDER BY l.granted DESC LIMIT 1;
        END;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION table_blockers FROM PUBLIC;

-- The session that has written or locked a row, found by the row's xmax; one of them when several share the lock.
-- What it does is shown as far as the owner of this function may see it.
CREATE FUNCTION lock_holder(p_xmax xid, OUT pid integer, OUT username text, OUT application text, OUT state text)
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
BEGIN
    SELECT l.pid INTO pid FROM pg_locks l
     WHERE l.locktype = 'transactionid' AND l.transactionid = p_xmax AND l.granted LIMIT 1;
    IF NOT FOUND THEN
        SELECT l.pid INTO pid FROM pg_get_multixact_members(p_xmax) m
          JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = m.xid AND l.granted LIMIT 1;
    END IF;
    SELECT a.usename, a.application_name, a.state INTO username, application, state
      FROM pg_stat_activity a WHERE a.pid = lock_holder.pid;
EXCEPTION WHEN OTHERS THEN
    NULL;  -- no such multixact: the lock has gone in this moment
END
$$;
REVOKE ALL ON FUNCTION lock_holder FROM PUBLIC;
