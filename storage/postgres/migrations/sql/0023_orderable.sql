-- Products of a store that is closed cannot be ordered, and say so: create_orders() looks at both rows, lists at this one.
ALTER TABLE products ADD COLUMN store_active boolean NOT NULL DEFAULT true;
UPDATE products p SET store_active = false FROM stores s WHERE s.id = p.store_id AND NOT s.active;
CREATE FUNCTION close_products() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- A new version: what is shown of them has changed.
    UPDATE products SET store_active = NEW.active, version = version + 1 WHERE store_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER stores_close_products AFTER UPDATE OF active ON stores FOR EACH ROW
    WHEN (NEW.active <> OLD.active) EXECUTE FUNCTION close_products();
CREATE FUNCTION open_product() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.store_active := coalesce((SELECT active FROM stores WHERE id = NEW.store_id), true);
    RETURN NEW;
END
$$;
CREATE TRIGGER products_of_store BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION open_product();
REVOKE ALL ON FUNCTION close_products(), open_product() FROM PUBLIC;

-- As in 0021_accounts.sql, and whom to ask for at the door.
CREATE OR REPLACE FUNCTION anonymise_user(p_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
    UPDATE drivers SET lat = NULL, lon = NULL, located_at = NULL WHERE id = p_id;
    RETURN 'ok';
END
$$;
