-- order_listing follows orders. Triggers keep it for every writer of orders. They are triggers of statements: one
-- insert for a batch of any size.

-- A new order is listed: a row for each of its pick-ups.
CREATE FUNCTION list_orders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO order_listing (id, created_at, customer_id, zone_id, store_id, pickup, number)
    SELECT c.id, c.created_at, c.customer_id, c.zone_id, (p.part ->> 0)::bigint, p.at, (p.part ->> 4)::integer
      FROM changed c, jsonb_array_elements(c.pickups) WITH ORDINALITY p(part, at);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION list_orders FROM PUBLIC;
CREATE TRIGGER listed AFTER INSERT ON orders REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION list_orders();

-- Nothing of the product deletes an order; a person in psql may.
CREATE FUNCTION unlist_orders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM order_listing l USING changed c WHERE l.id = c.id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION unlist_orders FROM PUBLIC;
CREATE TRIGGER unlisted AFTER DELETE ON orders REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION unlist_orders();
