-- Everything that a database of this product is made of, as (object, part, definition): for comparing two of them.
-- Left out: what belongs to an extension, and what follows from something listed (row types, identity sequences' owners).

-- Our own schemas, tables and functions.
WITH space AS (
    SELECT n.oid, n.nspname AS name, n.nspowner AS owner, n.nspacl AS acl FROM pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
), relation AS (
    SELECT c.*, c.oid::regclass::text AS name FROM pg_class c JOIN space s ON s.oid = c.relnamespace
     WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), routine AS (
    SELECT p.*, p.oid::regprocedure::text AS name FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
     WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
), kind AS (
    SELECT * FROM (VALUES ('r'::"char", 'table'), ('p', 'table'), ('v', 'view'), ('m', 'view'), ('S', 'sequence'),
                          ('i', 'index'), ('f', 'foreign table'), ('c', 'type')) AS k(relkind, kind)
), owned AS (
    -- Objects that have an owner and rights: what everybody and each role may do with them.
    SELECT 'schema ' || name AS object, owner, coalesce(acl, acldefault('n', owner)) AS acl FROM space
    UNION ALL
    SELECT k.kind || ' ' || r.name, r.relowner,
           coalesce(r.relacl, acldefault(CASE r.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, r.relowner))
      FROM relation r JOIN kind k USING (relkind) WHERE r.relkind NOT IN ('i', 'c')
    UNION ALL
    SELECT 'function ' || name, proowner, coalesce(proacl, acldefault('f', proowner)) FROM routine
)
SELECT object, 'owner' AS part, owner::regrole::text AS definition FROM owned
UNION ALL
SELECT o.object, 'rights', string_agg(g.right, E'\n' ORDER BY g.right)
  FROM owned o CROSS JOIN LATERAL aclexplode(o.acl) a
 CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END || ' '
                            || a.privilege_type || CASE WHEN a.is_grantable THEN ' to grant' ELSE '' END AS right) g
 GROUP BY o.object
UNION ALL
SELECT 'default privileges of ' || d.defaclrole::regrole::text || ' for ' || d.defaclobjtype::text, 'rights', d.defaclacl::text
  FROM pg_default_acl d
UNION ALL
SELECT k.kind || ' ' || r.name, 'storage',
       concat_ws(' ', r.relpersistence, r.relreplident, r.relrowsecurity, r.relforcerowsecurity, r.relispartition,
                 array_to_string(r.reloptions, ','), (SELECT a.amname FROM pg_am a WHERE a.oid = r.relam))
  FROM relation r JOIN kind k USING (relkind)
UNION ALL
-- By position, too: SELECT * and INSERT without a list of columns go by it.
SELECT 'column ' || r.name || '.' || a.attname, 'definition',
       concat_ws(' ', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
                 CASE WHEN a.attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
                 'IDENTITY ' || nullif(a.attidentity::text, ''), 'GENERATED ' || nullif(a.attgenerated::text, ''),
                 a.attstorage, nullif(a.attcompression::text, ''), array_to_string(a.attoptions, ','))
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL
SELECT 'column ' || r.name || '.' || a.attname, 'rights', a.attacl::text
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL
UNION ALL
SELECT 'constraint ' || r.name || '.' || c.conname, 'definition',
       pg_get_constraintdef(c.oid) || CASE WHEN c.convalidated THEN '' ELSE ' NOT VALIDATED' END
  FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
UNION ALL
SELECT 'index ' || r.name, 'definition',
       concat_ws(' ', pg_get_indexdef(r.oid), CASE WHEN NOT i.indisvalid THEN 'INVALID' END,
                 CASE WHEN i.indisclustered THEN 'CLUSTERED' END)
  FROM relation r JOIN pg_index i ON i.indexrelid = r.oid
UNION ALL
SELECT 'sequence ' || r.name, 'definition',
       concat_ws(' ', format_type(s.seqtypid, NULL), 'START', s.seqstart, 'INCREMENT', s.seqincrement, 'MIN', s.seqmin,
                 'MAX', s.seqmax, 'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' END)
  FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
UNION ALL
SELECT 'view ' || r.name, 'definition', pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind IN ('v', 'm')
UNION ALL
SELECT 'rule ' || r.name || '.' || w.rulename, 'definition', pg_get_ruledef(w.oid)
  FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT 'trigger ' || r.name || '.' || t.tgname, 'definition', pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
  FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy ' || r.name || '.' || p.polname, 'definition',
       concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[]::text, pg_get_expr(p.polqual, p.polrelid),
                 pg_get_expr(p.polwithcheck, p.polrelid))
  FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'statistics ' || s.stxname, 'definition', pg_get_statisticsobjdef(s.oid)
  FROM pg_statistic_ext s JOIN space n ON n.oid = s.stxnamespace
UNION ALL
SELECT 'function ' || name, 'definition', pg_get_functiondef(oid) FROM routine WHERE prokind IN ('f', 'p')
UNION ALL
SELECT 'function ' || name, 'definition', prokind::text FROM routine WHERE prokind NOT IN ('f', 'p')
UNION ALL
SELECT 'type ' || t.oid::regtype::text, 'definition',
       concat_ws(' ', t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod), t.typnotnull, t.typdefault,
                 (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
                 (SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname) FROM pg_constraint c WHERE c.contypid = t.oid))
  FROM pg_type t JOIN space s ON s.oid = t.typnamespace
 WHERE t.typtype IN ('d', 'e', 'r')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT 'extension ' || e.extname, 'definition', e.extversion || ' in ' || e.extnamespace::regnamespace::text FROM pg_extension e
UNION ALL
SELECT 'event trigger ' || e.evtname, 'definition', concat_ws(' ', e.evtevent, e.evtenabled, e.evtfoid::regprocedure)
  FROM pg_event_trigger e
UNION ALL
SELECT 'settings of the database', CASE s.setrole WHEN 0 THEN 'all roles' ELSE s.setrole::regrole::text END, array_to_string(s.setconfig, E'\n')
  FROM pg_db_role_setting s JOIN pg_database b ON b.oid = s.setdatabase WHERE b.datname = current_database()
UNION ALL
SELECT CASE d.classoid WHEN 'pg_proc'::regclass THEN 'function ' || d.objoid::regprocedure::text
                       WHEN 'pg_class'::regclass THEN coalesce('column ' || d.objoid::regclass::text || '.' || a.attname,
                                                              (SELECT k.kind || ' ' || r.name FROM kind k WHERE k.relkind = r.relkind))
                       ELSE d.classoid::regclass::text || ' ' || pg_describe_object(d.classoid, d.objoid, d.objsubid) END,
       'comment', d.description
  FROM pg_description d
  LEFT JOIN relation r ON d.classoid = 'pg_class'::regclass AND r.oid = d.objoid
  LEFT JOIN routine p ON d.classoid = 'pg_proc'::regclass AND p.oid = d.objoid
  LEFT JOIN pg_attribute a ON r.oid IS NOT NULL AND d.objsubid > 0 AND a.attrelid = d.objoid AND a.attnum = d.objsubid
 WHERE r.oid IS NOT NULL OR p.oid IS NOT NULL
    OR (d.classoid IN ('pg_constraint'::regclass, 'pg_trigger'::regclass, 'pg_type'::regclass, 'pg_policy'::regclass)
        AND d.objoid >= 16384
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e'));
