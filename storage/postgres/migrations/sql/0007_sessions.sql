-- A session is one family of refresh tokens. Each token is made from the one before and a salt, so whoever holds
-- a token can be given the one that is current; this table alone gives no token away.
-- `previous_hash` stays for instances of the version before that still run; a later revision drops it.
DROP INDEX sessions_user;
ALTER TABLE sessions
    ADD COLUMN counter     bigint NOT NULL DEFAULT 0,        -- tokens that the current one has replaced
    ADD COLUMN family_hash bytea,                            -- of what all tokens share; NULL: cannot be refreshed
    ADD COLUMN salts       bytea[] NOT NULL DEFAULT '{}',    -- of the latest replacements, the newest last
    ADD COLUMN replaced    timestamptz[] NOT NULL DEFAULT '{}',  -- when each of them was
    ADD COLUMN network     text;                             -- where it was opened: a digest of the address
CREATE INDEX sessions_user ON sessions (user_id, network);

-- A key is published when its row is made, signs from `signs_at` on, and verifies until `retires_at`.
ALTER TABLE signing_key
    ADD COLUMN signs_at   timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN retires_at timestamptz;
GRANT UPDATE (retires_at), DELETE ON signing_key TO mall_app;

-- Tokens carry the role of their user: with another role they are wrong, whoever has changed it.
CREATE FUNCTION end_sessions_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_role_changed AFTER UPDATE OF role ON users
    FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION end_sessions_of_user();
