-- Accounts. The triggers act on every write of `users`, by the API or by a person in psql.

-- Fills in the form under which an account is found, for writers that give none: people in SQL, and instances from
-- before 0018_email_keys. It is right for plain ASCII addresses; the program computes it for all.
CREATE FUNCTION fill_email_key() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.email_key IS NULL OR (TG_OP = 'UPDATE' AND NEW.email_key = OLD.email_key) THEN
        NEW.email_key := lower(NEW.email COLLATE "C");
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER users_email_key_filled BEFORE INSERT ON users
    FOR EACH ROW WHEN (NEW.email_key IS NULL) EXECUTE FUNCTION fill_email_key();
CREATE TRIGGER users_email_key_changed BEFORE UPDATE OF email ON users
    FOR EACH ROW WHEN (NEW.email IS DISTINCT FROM OLD.email) EXECUTE FUNCTION fill_email_key();

-- Another role ends a user's sessions: their tokens carry the role of before.
CREATE FUNCTION end_sessions_of_user() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_role_changed AFTER UPDATE OF role ON users
    FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION end_sessions_of_user();

-- A link that sets a password was made for the account as it was. It is void when that changes.
CREATE FUNCTION void_password_reset() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM password_reset WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_reset_void AFTER UPDATE OF password_hash, email, role, status ON users
    FOR EACH ROW WHEN (OLD.password_hash IS DISTINCT FROM NEW.password_hash OR OLD.email IS DISTINCT FROM NEW.email
                       OR OLD.role IS DISTINCT FROM NEW.role OR OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION void_password_reset();

-- The last admin who can log in stays one. The lock makes two who leave at once take turns: the second sees the first.
CREATE FUNCTION keep_an_admin() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7, 520);
    IF NOT EXISTS (SELECT FROM users WHERE role = 'admin' AND status = 'active' AND password_hash IS NOT NULL
                                       AND id <> OLD.id) THEN
        RAISE EXCEPTION 'the last administrator' USING ERRCODE = 'check_violation', CONSTRAINT = 'users_last_admin';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TRIGGER users_last_admin BEFORE UPDATE OF role, status, password_hash ON users
    FOR EACH ROW WHEN (OLD.role = 'admin' AND OLD.status = 'active' AND OLD.password_hash IS NOT NULL
                       AND (NEW.role <> 'admin' OR NEW.status <> 'active' OR NEW.password_hash IS NULL))
    EXECUTE FUNCTION keep_an_admin();
CREATE TRIGGER users_last_admin_deleted BEFORE DELETE ON users
    FOR EACH ROW WHEN (OLD.role = 'admin' AND OLD.status = 'active' AND OLD.password_hash IS NOT NULL)
    EXECUTE FUNCTION keep_an_admin();

-- Removes everything personal of a user: what is left is a number that orders refer to. It also removes what orders
-- of the user say elsewhere: in answers that are kept under keys, and in feeds of drivers. Places are rounded to
-- about a kilometre.
--
-- Codes: ok; busy while an order of the user, or one that the user carries, is under way: its row belongs to an actor.
CREATE FUNCTION anonymise_user(p_id bigint) RETURNS text
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
    -- The sandbox keeps addresses, too.
    DELETE FROM sandbox_messages WHERE recipient IN (SELECT unnest(ARRAY[email, phone]) FROM users WHERE id = p_id);
    DELETE FROM notice_preferences WHERE user_id = p_id;
    UPDATE notices SET data = '{}' WHERE user_id = p_id AND data <> '{}';
    UPDATE users SET email = 'usr_' || id || '@deleted.invalid', email_key = 'usr_' || id || '@deleted.invalid',
           name = 'Deleted', password_hash = NULL, status = 'deleted', version = version + 1,
           phone = NULL, locale = 'en', time_zone = 'UTC', quiet_from = NULL, quiet_to = NULL
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
REVOKE ALL ON FUNCTION anonymise_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION anonymise_user TO mall_app;
