-- Keeps the digest of a new share link in the first free slot of its order. Returns the slot; NULL when all are taken. Of
-- two links that are made at once, one takes the next slot.
CREATE FUNCTION add_order_share(p_order bigint, p_digest bytea, p_max integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    FOR v_slot IN 1 .. p_max LOOP
        INSERT INTO order_shares (order_id, slot, digest) VALUES (p_order, v_slot, p_digest)
        ON CONFLICT (order_id, slot) DO NOTHING;
        IF FOUND THEN
            RETURN v_slot;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION add_order_share FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_order_share TO mall_app;

-- Revokes all share links of an order. Returns their number.
CREATE FUNCTION revoke_order_shares(p_order bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_count integer;
BEGIN
    DELETE FROM order_shares WHERE order_id = p_order;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$$;
REVOKE ALL ON FUNCTION revoke_order_shares FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_order_shares TO mall_app;
