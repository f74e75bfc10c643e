-- As the superuser of an embedded Postgres: {role} owns the database and everything in it that is not an extension's.
DO $$
DECLARE
    v record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mall_app') THEN
        CREATE ROLE mall_app NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} LOGIN;
    END IF;
    GRANT mall_app TO {role};
    -- To name who blocks whom, and nothing else.
    GRANT pg_read_all_stats TO {role};
    EXECUTE format('ALTER DATABASE %I OWNER TO {role}', current_database());
    ALTER SCHEMA public OWNER TO {role};

    -- Sequences of columns follow their tables, types of rows theirs.
    FOR v IN
        SELECT c.oid::regclass AS name,
               CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                              ELSE 'TABLE' END AS kind
          FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner
         WHERE c.relnamespace = 'public'::regnamespace AND o.rolname = current_user
           AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                              AND (d.deptype = 'e' OR (c.relkind = 'S' AND d.deptype IN ('a', 'i'))))
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO {role}', v.kind, v.name);
    END LOOP;
    FOR v IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
         WHERE p.pronamespace = 'public'::regnamespace AND o.rolname = current_user AND p.prokind <> 'a'
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                              AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO {role}', v.name);
    END LOOP;
    FOR v IN
        SELECT t.oid::regtype AS name FROM pg_type t JOIN pg_roles o ON o.oid = t.typowner
         WHERE t.typnamespace = 'public'::regnamespace AND o.rolname = current_user AND t.typtype IN ('d', 'e')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                              AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER TYPE %s OWNER TO {role}', v.name);
    END LOOP;

    -- Only a superuser may add it; migrations take it up where it is.
    BEGIN
        IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis' AND installed_version IS NULL) THEN
            CREATE EXTENSION postgis;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;  -- broken: it is done without
    END;
END
$$;
