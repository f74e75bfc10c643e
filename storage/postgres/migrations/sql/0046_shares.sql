-- Share links: who knows the secret of one follows an order without an account.
CREATE TABLE order_shares (
    order_id   bigint NOT NULL,
    slot       smallint NOT NULL CHECK (slot BETWEEN 1 AND 5),
    digest     bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, slot)
);
GRANT SELECT ON order_shares TO mall_app;

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

-- Deletes feed entries that are older than p_days, answers whose key has expired, and share links of orders that have ended
-- half a day ago, p_limit of each at most. Returns how many rows went: the caller comes again while there are many.
CREATE OR REPLACE FUNCTION trim_expired(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_events integer; v_keys integer; v_shares integer;
BEGIN
    DELETE FROM driver_events WHERE ctid IN (
        SELECT ctid FROM driver_events WHERE at < now() - make_interval(days => p_days) LIMIT p_limit);
    GET DIAGNOSTICS v_events = ROW_COUNT;
    DELETE FROM idempotency WHERE ctid IN (
        SELECT ctid FROM idempotency WHERE expires_at < now() LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_keys = ROW_COUNT;
    DELETE FROM order_shares WHERE digest IN (
        SELECT s.digest FROM order_shares s JOIN orders o ON o.id = s.order_id
         WHERE s.created_at < now() - interval '12 hours' AND o.updated_at < now() - interval '12 hours'
           AND o.status IN ('delivered', 'cancelled', 'undeliverable') LIMIT p_limit);
    GET DIAGNOSTICS v_shares = ROW_COUNT;
    RETURN v_events + v_keys + v_shares;
END
$$;
