-- What follows when the catalogue is changed.

-- A store that closes or opens marks its products. They get a new version, because what is shown of them has changed.
CREATE FUNCTION close_products() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- A new version: what is shown of them has changed.
    UPDATE products SET store_active = NEW.active, version = version + 1 WHERE store_id = NEW.id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION close_products FROM PUBLIC;
CREATE TRIGGER stores_close_products AFTER UPDATE OF active ON stores FOR EACH ROW
    WHEN (NEW.active <> OLD.active) EXECUTE FUNCTION close_products();

-- A new product knows whether its store is open.
CREATE FUNCTION open_product() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.store_active := coalesce((SELECT active FROM stores WHERE id = NEW.store_id), true);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION open_product FROM PUBLIC;
CREATE TRIGGER products_of_store BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION open_product();

-- The ledger of stocks (stock_made) follows what the API sets. It does not follow what orders take and give back: those
-- functions work as their owner, and the trigger looks at the server's own role alone.
CREATE FUNCTION note_stock() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.stock IS NULL THEN
        DELETE FROM stock_made WHERE product_id = NEW.id;
    ELSIF TG_OP = 'UPDATE' AND OLD.stock IS NOT NULL THEN
        UPDATE stock_made SET pieces = pieces + NEW.stock - OLD.stock WHERE product_id = NEW.id;
    ELSE
        INSERT INTO stock_made
        SELECT NEW.id, NEW.stock + coalesce(sum(i.taken - i.returned), 0) FROM order_items i WHERE i.product_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION note_stock FROM PUBLIC;
CREATE TRIGGER stock_founded AFTER INSERT ON products FOR EACH ROW
    WHEN (NEW.stock IS NOT NULL) EXECUTE FUNCTION note_stock();
CREATE TRIGGER stock_set AFTER UPDATE OF stock ON products FOR EACH ROW
    WHEN (current_user = 'mall_app' AND OLD.stock IS DISTINCT FROM NEW.stock) EXECUTE FUNCTION note_stock();

-- What happened to a stock that was changed: it became low when it fell from above the limit to it or below, and was
-- used up when it fell to zero. A limit of 0 is never crossed. Each is once per crossing: only a stock that was filled up
-- above the limit can cross it again.
CREATE FUNCTION stock_events(p_before bigint, p_after bigint, p_low integer) RETURNS TABLE (event text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'low' WHERE p_low > 0 AND p_before > p_low AND p_after <= p_low
    UNION ALL
    SELECT 'out' WHERE p_before > 0 AND p_after = 0
$$;
REVOKE ALL ON FUNCTION stock_events FROM PUBLIC;

-- Puts what happened to a stock into the outbox.
CREATE FUNCTION tell_stock(p_id bigint, p_before bigint, p_after bigint, p_low integer, p_trace text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO outbox (topic, ref, version, trace, data)
    SELECT 'stock', p_id, 0, p_trace, jsonb_build_object('event', e.event, 'stock', p_after, 'limit', p_low)
      FROM stock_events(p_before, p_after, p_low) e
$$;
REVOKE ALL ON FUNCTION tell_stock FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tell_stock TO mall_app;

-- Changes a product in a version, or version and stock, that the caller has seen (p_tags; NULL: in any). p has the new
-- values: an absent one stays, null clears stock and low_stock, and an empty p only looks. p_low: the limit of products
-- without one of their own. It works as its caller, because the ledger of stocks notes what the server's role sets.
CREATE FUNCTION change_product(p_id bigint, p_tags text[], p jsonb, p_low integer, p_trace text) RETURNS SETOF products
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_was products; v_row products;
BEGIN
    SELECT * INTO v_was FROM products
     WHERE id = p_id AND (p_tags IS NULL OR version::text = ANY (p_tags) OR (version || '.' || stock) = ANY (p_tags))
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE products SET name = coalesce(p ->> 'name', name),
           price_minor = coalesce((p ->> 'price_minor')::bigint, price_minor),
           currency = coalesce(p ->> 'currency', currency),
           stock = CASE WHEN p ? 'stock' THEN (p ->> 'stock')::integer ELSE stock END,
           low_stock = CASE WHEN p ? 'low_stock' THEN (p ->> 'low_stock')::integer ELSE low_stock END,
           active = coalesce((p ->> 'active')::boolean, active), version = version + (p <> '{}')::integer
     WHERE id = p_id RETURNING * INTO v_row;
    IF v_row.stock < v_was.stock OR (v_was.stock IS NULL AND v_row.stock IS NOT NULL) THEN
        -- A stock that never ran out was above every limit.
        PERFORM tell_stock(p_id, coalesce(v_was.stock, 2147483647), v_row.stock, coalesce(v_row.low_stock, p_low, 0), p_trace);
    END IF;
    RETURN NEXT v_row;
END
$$;
REVOKE ALL ON FUNCTION change_product FROM PUBLIC;
GRANT EXECUTE ON FUNCTION change_product TO mall_app;
