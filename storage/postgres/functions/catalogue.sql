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
