-- The form under which an account is found is computed by the program and stored: lower() folds other letters than
-- Python does, and what one takes for another account was the same one for the other (U+0130). The revision fills in
-- the addresses that are not plain ASCII (0018_email_keys.py).
ALTER TABLE users ADD COLUMN email_key text;
UPDATE users SET email_key = lower(email COLLATE "C") WHERE octet_length(email) = length(email);

-- Instances of the version before, and people in SQL, write no such form: for plain addresses it is known here, too.
CREATE FUNCTION fill_email_key() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Who has logged in from a network before: places are kept for it when many log in at once.
CREATE INDEX sessions_network ON sessions (network, user_id) WHERE network IS NOT NULL;
