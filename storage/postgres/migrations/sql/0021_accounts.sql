-- Accounts that are looked after: resets of passwords, other addresses and roles, deletion; an admin always stays.
ALTER TABLE users DROP CONSTRAINT users_status_check,
    ADD CONSTRAINT users_status_check CHECK (status IN ('active', 'banned', 'deleted'));

-- Who was a driver once keeps the driver's row, to which orders refer: so says the account itself, for it is a sign of
-- work by hand where it does not.
ALTER TABLE users ADD COLUMN drove boolean NOT NULL DEFAULT false;

-- What a link stands for: the hash of its token, for one user the latest.
CREATE TABLE password_reset (
    user_id    bigint PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON password_reset TO mall_app;

-- A link that was made for what the account was is void when that changes, whoever changes it.
CREATE FUNCTION void_password_reset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM password_reset WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_reset_void AFTER UPDATE OF password_hash, email, role, status ON users
    FOR EACH ROW WHEN ((OLD.password_hash, OLD.email, OLD.role, OLD.status)
                       IS DISTINCT FROM (NEW.password_hash, NEW.email, NEW.role, NEW.status))
    EXECUTE FUNCTION void_password_reset();

-- The last admin who can log in stays one. The lock makes two who go at once take turns: the second sees the first.
CREATE FUNCTION keep_an_admin() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Nothing of a person is left but a number that orders refer to. 'busy' while there are orders under way: their rows
-- belong to actors, and the goods to somebody.
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
    UPDATE users SET email = 'usr_' || id || '@deleted.invalid', email_key = 'usr_' || id || '@deleted.invalid',
           name = 'Deleted', password_hash = NULL, status = 'deleted', version = version + 1
     WHERE id = p_id;
    UPDATE sessions SET network = NULL WHERE user_id = p_id;
    -- The contact came with 0022_pickups.sql; nobody is deleted between the two revisions.
    UPDATE orders SET address = 'deleted', notes = NULL, contact_name = 'Deleted', contact_phone = NULL, dropoff_lat = round(dropoff_lat::numeric, 2),
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
REVOKE ALL ON FUNCTION anonymise_user(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION anonymise_user(bigint) TO mall_app;
