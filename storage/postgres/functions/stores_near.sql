-- Distances, and the search for stores around a place. The search has two bodies with one contract
-- (tests/contracts/test_geo.py): PostGIS where the database offers it, a box of latitudes and longitudes elsewhere.

-- Great-circle distance in metres (haversine), on the sphere that PostGIS uses. Every answer about distances agrees:
-- this one, dispatch/domain/geo.py, and both bodies of stores_near().
CREATE FUNCTION metres_between(a_lat double precision, a_lon double precision, b_lat double precision, b_lon double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 2 * 6371008.7714150598 * asin(least(1, sqrt(
               power(sin(radians(b_lat - a_lat) / 2), 2)
               + cos(radians(a_lat)) * cos(radians(b_lat)) * power(sin(radians(b_lon - a_lon) / 2), 2))))
$$;

-- The active stores within p_radius_m of a place, the nearest first, of two equally near ones the older. (Where a
-- page ends between such two, either may be the one that is left out.) choose_stores_near() puts a body in.
CREATE FUNCTION stores_near(p_lat double precision, p_lon double precision, p_radius_m double precision, p_limit integer)
RETURNS TABLE (id bigint, distance_m double precision) LANGUAGE sql STABLE AS $$ SELECT NULL::bigint, NULL::float8 $$;

-- Gives stores_near() the best body there is, notes it in its comment, and says which: 'postgis' or 'box'. Every
-- start calls it (storage/postgres/migrate.py), so that PostGIS is taken up when it appears and done without when it
-- has gone. Needs the owner; mall_app may not. p_postgis: false to do without it (tests, benchmarks).
CREATE FUNCTION choose_stores_near(p_postgis boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
    v_home text;
    -- Raise the number when a body changes: the old one is replaced at the next start.
    v_wanted text := 'box 1';
BEGIN
    IF p_postgis THEN
        BEGIN
            IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis' AND installed_version IS NULL) THEN
                CREATE EXTENSION postgis;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- not permitted, or broken: the box does
        END;
        SELECT n.nspname INTO v_home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'postgis';
        IF v_home IS NOT NULL AND has_schema_privilege('mall_app', v_home, 'USAGE') THEN
            v_wanted := 'postgis 1';
        END IF;
    END IF;
    IF obj_description('stores_near(float8,float8,float8,integer)'::regprocedure, 'pg_proc') = v_wanted
       AND (v_wanted LIKE 'box%' OR to_regclass('stores_geography') IS NOT NULL) THEN
        RETURN split_part(v_wanted, ' ', 1);
    END IF;

    IF v_wanted = 'postgis 1' THEN
        -- On the sphere (false; and so does <->), as everything here measures. The index is on the globe: date line
        -- and poles are places like any other. The first query's order is by distance alone, and so the index yields
        -- a page of the nearest without looking at the rest: with the id in it the planner sorts all that are near
        -- (100,000 stores, 50 km: 27 ms instead of 0.3). But where places at 180 and -180 degrees coincide the index
        -- may find its own bounds wrong by a rounding, and gives up ("tuples in wrong order"): then the second
        -- query, which is right in any case. Both yield arrays, so that half an answer is none.
        -- ROWS: a page. Left to guess a thousand the planner reads all stores for the rest of their columns.
        EXECUTE format($body$
            CREATE INDEX IF NOT EXISTS stores_geography ON stores
             USING gist ((%1$I.ST_SetSRID(%1$I.ST_MakePoint(lon, lat), 4326)::%1$I.geography)) WHERE active;
            CREATE OR REPLACE FUNCTION stores_near(p_lat double precision, p_lon double precision,
                                                   p_radius_m double precision, p_limit integer)
            RETURNS TABLE (id bigint, distance_m double precision) LANGUAGE plpgsql STABLE ROWS 50 AS $near$
            DECLARE
                v_here %1$I.geography := %1$I.ST_SetSRID(%1$I.ST_MakePoint(p_lon, p_lat), 4326)::%1$I.geography;
                v_ids bigint[]; v_away double precision[];
            BEGIN
                BEGIN
                    SELECT array_agg(f.i ORDER BY f.m, f.i), array_agg(f.m ORDER BY f.m, f.i) INTO v_ids, v_away FROM (
                        SELECT s.id AS i, %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography
                                          OPERATOR(%1$I.<->) v_here AS m
                          FROM stores s
                         WHERE s.active AND %1$I.ST_DWithin(
                               %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography, v_here, p_radius_m, false)
                         ORDER BY %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography
                                  OPERATOR(%1$I.<->) v_here
                         LIMIT p_limit) f;
                EXCEPTION WHEN internal_error THEN
                    SELECT array_agg(f.i ORDER BY f.m, f.i), array_agg(f.m ORDER BY f.m, f.i) INTO v_ids, v_away FROM (
                        SELECT s.id AS i, %1$I.ST_Distance(
                               %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography, v_here, false) AS m
                          FROM stores s
                         WHERE s.active AND %1$I.ST_DWithin(
                               %1$I.ST_SetSRID(%1$I.ST_MakePoint(s.lon, s.lat), 4326)::%1$I.geography, v_here, p_radius_m, false)
                         ORDER BY 2, 1 LIMIT p_limit) f;
                END;
                RETURN QUERY SELECT * FROM unnest(v_ids, v_away);
            END
            $near$ $body$, v_home);
        ANALYZE stores;
    ELSE
        DROP INDEX IF EXISTS stores_geography;
        -- Half the box, in degrees of latitude and of longitude; towards the poles a circle of so many metres spans
        -- all longitudes. A box that crosses the date line goes on at its other side.
        CREATE OR REPLACE FUNCTION stores_near(p_lat double precision, p_lon double precision,
                                               p_radius_m double precision, p_limit integer)
        RETURNS TABLE (id bigint, distance_m double precision) LANGUAGE sql STABLE AS $near$
            SELECT found.id, found.distance_m FROM (
                SELECT s.id, metres_between(p_lat, p_lon, s.lat, s.lon) AS distance_m
                  FROM (SELECT half.lat, CASE WHEN cos(radians(least(90, abs(p_lat) + half.lat))) < 0.01 THEN 180
                                              ELSE half.lat / cos(radians(least(90, abs(p_lat) + half.lat))) END AS lon
                          FROM (SELECT degrees(p_radius_m / 6371008.7714150598) + 1e-9 AS lat) half) box,
                       stores s
                 WHERE s.active AND s.lat BETWEEN p_lat - box.lat AND p_lat + box.lat
                   AND (s.lon BETWEEN p_lon - box.lon AND p_lon + box.lon
                        OR s.lon BETWEEN p_lon - box.lon + 360 AND p_lon + box.lon + 360
                        OR s.lon BETWEEN p_lon - box.lon - 360 AND p_lon + box.lon - 360)) found
             WHERE found.distance_m <= p_radius_m ORDER BY found.distance_m, found.id LIMIT p_limit
        $near$;
    END IF;
    EXECUTE format('COMMENT ON FUNCTION stores_near(float8, float8, float8, integer) IS %L', v_wanted);
    RETURN split_part(v_wanted, ' ', 1);
END
$$;
REVOKE ALL ON FUNCTION choose_stores_near FROM PUBLIC;
SELECT choose_stores_near(false);
