-- What drivers carry; lists are in lists/, single orders are answered by their actors.

-- name: carried_orders
SELECT * FROM order_rows WHERE id IN (SELECT order_id FROM assignment WHERE driver_id = $1) ORDER BY id;

-- name: ping
SELECT 1;
