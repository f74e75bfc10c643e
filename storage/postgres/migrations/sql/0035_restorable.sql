-- A comparison of rows is kept as nested ORs, and comes out of pg_dump with other brackets than it went in with: after a
-- restore `verify` took the trigger for one that was changed by hand. The same condition without rows stays as it is.
CREATE OR REPLACE TRIGGER users_reset_void AFTER UPDATE OF password_hash, email, role, status ON users
    FOR EACH ROW WHEN (OLD.password_hash IS DISTINCT FROM NEW.password_hash OR OLD.email IS DISTINCT FROM NEW.email
                       OR OLD.role IS DISTINCT FROM NEW.role OR OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION void_password_reset();
