-- The role that the server works as. It may read everything, write the catalogue, and change living
-- actors only through the functions: an unfenced write is not possible, not even by mistake.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mall_app') THEN
        CREATE ROLE mall_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another database of this cluster was migrated in the same moment
END
$$;
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'mall_app', 'MEMBER') THEN
        EXECUTE format('GRANT mall_app TO %I', current_user);
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO mall_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO mall_app;
GRANT INSERT, UPDATE, DELETE ON zones, users, sessions, stores, products, payments, outbox TO mall_app;
GRANT USAGE ON SEQUENCE order_id_seq TO mall_app;
GRANT INSERT ON signing_key TO mall_app;

REVOKE ALL ON FUNCTION claim_shards(integer[], text, text, bigint[]), flush(integer[], bigint[], bigint[], jsonb),
    create_orders(jsonb), create_drivers(jsonb), save_positions(jsonb), trim_expired(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_shards(integer[], text, text, bigint[]), flush(integer[], bigint[], bigint[], jsonb),
    create_orders(jsonb), create_drivers(jsonb), save_positions(jsonb), trim_expired(integer, integer) TO mall_app;
