-- What makes it possible to say later that something was changed by hand (storage/postgres/sql/audit.sql).

-- A claim bears its epoch's moment: an epoch that was lowered afterwards is below it. But for that claim_shards() is that
-- of 0002_functions.sql.
UPDATE shard SET claimed_at = to_timestamp(epoch / 1000.0) WHERE epoch > 0;
CREATE OR REPLACE FUNCTION claim_shards(p_shards integer[], p_owner text, p_incarnation text, p_expected bigint[])
RETURNS TABLE (shard_id integer, new_epoch bigint, previous_epoch bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT id, epoch, incarnation FROM shard WHERE id = ANY (p_shards) ORDER BY id FOR UPDATE LOOP
        shard_id := s.id;
        previous_epoch := s.epoch;
        new_epoch := NULL;
        IF p_expected IS NULL OR s.epoch = p_expected[array_position(p_shards, s.id)]
           OR s.incarnation = p_incarnation THEN
            new_epoch := greatest(s.epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
            UPDATE shard SET epoch = new_epoch, owner = p_owner, incarnation = p_incarnation,
                   claimed_at = to_timestamp(new_epoch / 1000.0) WHERE id = s.id;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The schema as it is: everything in it that has a meaning for the product, and how it is defined. Not told: what
-- extensions bring, and what is chosen at each start (stores_near).
CREATE VIEW schema_now AS
WITH own AS (
    SELECT c.oid, c.relname, c.relkind, c.relacl, c.relowner FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'stores_geography'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), routine AS (
    SELECT p.* FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace AND p.proname <> 'stores_near'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
)
SELECT 'column' AS kind, o.relname || '.' || a.attname AS name,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attidentity::text
       || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') AS definition
  FROM own o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE o.relkind IN ('r', 'v')
UNION ALL
SELECT 'constraint', o.relname || '.' || c.conname, pg_get_constraintdef(c.oid) || ' ' || c.convalidated
  FROM own o JOIN pg_constraint c ON c.conrelid = o.oid WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'index', o.relname, pg_get_indexdef(o.oid) || ' ' || i.indisvalid FROM own o JOIN pg_index i ON i.indexrelid = o.oid
UNION ALL
SELECT 'trigger', o.relname || '.' || t.tgname, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
  FROM own o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'function', p.oid::regprocedure::text,
       concat_ws(' ', p.prosrc, p.prosecdef, p.provolatile::text, array_to_string(p.proconfig, ','), pg_get_function_result(p.oid))
  FROM routine p
UNION ALL
SELECT 'view', o.relname, pg_get_viewdef(o.oid) FROM own o WHERE o.relkind = 'v'
UNION ALL
-- Rights of everybody and of the server's role: an unfenced write must stay impossible.
SELECT 'rights', x.name, string_agg(x.who || ' ' || x.right, ', ' ORDER BY x.who, x.right)
  FROM (SELECT o.relname AS name, CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END AS who,
               a.privilege_type AS right
          FROM own o CROSS JOIN LATERAL aclexplode(o.relacl) a
         WHERE a.grantee <> o.relowner AND a.grantee IN (0, (SELECT oid FROM pg_roles WHERE rolname = 'mall_app'))
        UNION ALL
        SELECT p.oid::regprocedure::text, CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END,
               a.privilege_type
          FROM routine p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
         WHERE a.grantee <> p.proowner AND a.grantee IN (0, (SELECT oid FROM pg_roles WHERE rolname = 'mall_app'))) x
 GROUP BY x.name;

-- The schema as the migrations have made it. Written once for each revision, by whoever migrates.
CREATE TABLE schema_made (
    kind       text NOT NULL,
    name       text NOT NULL,
    definition text NOT NULL,                       -- its hash
    PRIMARY KEY (kind, name)
);
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
REVOKE ALL ON FUNCTION record_schema(text) FROM PUBLIC;
GRANT SELECT ON schema_made, schema_now TO mall_app;
