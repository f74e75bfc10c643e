-- Share links of orders.

-- name: order_share_add
-- $2: SHA-256 of the secret. NULL: the order has $3 of them.
SELECT add_order_share($1, $2, $3);

-- name: order_shares_revoke
SELECT revoke_order_shares($1);

-- name: order_share_find
-- $1: SHA-256 of the secret, $2: how many seconds a link outlives its order. `times`: when each step was last reached, in
-- milliseconds. The order's end is that of its history: later changes, such as a refund, do not lengthen the link's life.
SELECT s.order_id, h.times
  FROM order_shares s
  JOIN orders o ON o.id = s.order_id
  JOIN users u ON u.id = o.customer_id AND u.status = 'active'
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_object_agg(e.type, (extract(epoch FROM e.at) * 1000)::bigint), '{}') AS times,
              max(e.at) FILTER (WHERE e.type IN ('delivered', 'cancelled', 'failed', 'returned')) AS ended_at
         FROM (SELECT type, max(at) AS at FROM order_events
                WHERE order_id = s.order_id
                  AND type IN ('paid', 'assigned', 'picked_up', 'delivered', 'cancelled', 'failed', 'returned')
                GROUP BY type) e) h
 WHERE s.digest = $1 AND (h.ended_at IS NULL OR h.ended_at > now() - make_interval(secs => $2));
