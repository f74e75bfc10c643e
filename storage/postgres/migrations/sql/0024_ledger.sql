-- What a stock was meant to be: with it `verify` can tell that somebody has changed one past the API. It is what is there
-- and what orders have taken and not given back; orders leave it as it is, and what the API sets moves it.
CREATE TABLE stock_made (
    product_id bigint PRIMARY KEY,
    pieces     bigint NOT NULL
);
GRANT SELECT ON stock_made TO mall_app;
INSERT INTO stock_made
SELECT p.id, p.stock + coalesce((SELECT sum(i.taken - i.returned) FROM order_items i WHERE i.product_id = p.id), 0)
  FROM products p WHERE p.stock IS NOT NULL;

CREATE FUNCTION note_stock() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.stock IS NULL THEN
        DELETE FROM stock_made WHERE product_id = NEW.id;
    ELSIF TG_OP = 'UPDATE' AND OLD.stock IS NOT NULL THEN
        UPDATE stock_made SET pieces = pieces + NEW.stock - OLD.stock WHERE product_id = NEW.id;
    ELSE
        INSERT INTO stock_made
        SELECT NEW.id, NEW.stock + coalesce(sum(i.taken - i.returned), 0) FROM order_items i WHERE i.product_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION note_stock() FROM PUBLIC;
CREATE TRIGGER stock_founded AFTER INSERT ON products FOR EACH ROW WHEN (NEW.stock IS NOT NULL) EXECUTE FUNCTION note_stock();
-- Only what the server's role sets by itself: create_orders() and flush() work as their owner.
CREATE TRIGGER stock_set AFTER UPDATE OF stock ON products FOR EACH ROW
    WHEN (current_user = 'mall_app' AND OLD.stock IS DISTINCT FROM NEW.stock) EXECUTE FUNCTION note_stock();
