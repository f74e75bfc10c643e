-- Records the schema as a migration has made it (schema_made), once for each revision and with Postgres's major
-- version: another one may write a definition in another way. Only the owner may call it.
CREATE FUNCTION record_schema(p_revision text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
BEGIN
    IF (SELECT definition FROM schema_made WHERE kind = 'revision') IS NOT DISTINCT FROM p_revision THEN
        RETURN;
    END IF;
    DELETE FROM schema_made;
    INSERT INTO schema_made SELECT n.kind, n.name, md5(n.definition) FROM schema_now n;
    INSERT INTO schema_made VALUES
        ('revision', '', p_revision), ('server', '', (current_setting('server_version_num')::integer / 10000)::text);
END
$$;
REVOKE ALL ON FUNCTION record_schema FROM PUBLIC;
