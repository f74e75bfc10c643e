-- Notices, who gets them, and the sandbox that keeps them.

-- name: notices_add
SELECT add_notices($1::jsonb);

-- name: notice_settle
SELECT settle_notice($1, $2, $3);

-- name: notice_get
SELECT id, topic, order_id, version, user_id, store_id, channel, type, status, data, trace FROM notices WHERE id = $1;

-- name: notice_users
-- The users of these numbers, with their preferences as [type, channel, wanted].
SELECT u.id, u.name, u.email, u.phone, u.locale, u.time_zone, u.quiet_from, u.quiet_to, u.status,
       coalesce((SELECT jsonb_agg(jsonb_build_array(p.type, p.channel, p.wanted)) FROM notice_preferences p
                  WHERE p.user_id = u.id), '[]') AS preferences
  FROM users u WHERE u.id = ANY ($1::bigint[]) ORDER BY u.id;

-- name: notice_admins
-- Administrators who can log in, the first 50.
SELECT id FROM users WHERE role = 'admin' AND status = 'active' AND password_hash IS NOT NULL ORDER BY id LIMIT 50;

-- name: notice_stores
SELECT s.id, s.name, s.contact_email, s.contact_phone, s.locale, z.time_zone
  FROM stores s JOIN zones z ON z.id = s.zone_id WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id;

-- name: notice_order
-- An order as notices tell of it, with its event of version $2. `replaced`: another driver has it since, or none.
SELECT o.id, o.customer_id, o.status, o.driver_id, o.total_minor, o.currency, o.payment, o.address, o.notes, o.items,
       o.pickups, o.ready_ms, o.ready_each, o.created_ms, o.expected_ms, o.promised_ms, o.terms, z.name AS zone, e.data AS event_data, e.reason,
       e.actor_role,
       (extract(epoch FROM e.at) * 1000)::bigint AS at_ms,
       (SELECT u.name FROM users u WHERE u.id = o.driver_id) AS driver,
       EXISTS (SELECT FROM order_events l WHERE l.order_id = o.id AND l.version > $2
                  AND l.type IN ('released', 'handed_over', 'assigned')) AS replaced
  FROM order_rows o JOIN zones z ON z.id = o.zone_id
  LEFT JOIN order_events e ON e.order_id = o.id AND e.version = $2
 WHERE o.id = $1;

-- name: notice_drivers_away
-- Which of these drivers do not see their feed: offline, or online and not to be reached.
SELECT id FROM drivers WHERE id = ANY ($1::bigint[]) AND (status = 'offline' OR unreachable_at IS NOT NULL) ORDER BY id;

-- name: notice_refund
-- What the version $2 of the payment $1 has given back, beyond what earlier versions had.
SELECT (convert_from(e.body, 'UTF8')::jsonb #>> '{data,refunded,amount_minor}')::bigint
       - coalesce((SELECT max((convert_from(p.body, 'UTF8')::jsonb #>> '{data,refunded,amount_minor}')::bigint)
                     FROM event_log p WHERE p.type = e.type AND p.ref = e.ref AND p.version < e.version), 0)
  FROM event_log e WHERE e.type = 'payment.refunded' AND e.ref = $1 AND e.version = $2;

-- name: reset_is_fresh
-- A link for the account was made less than five minutes ago. $2: how long links are good, in seconds.
SELECT EXISTS (SELECT FROM password_reset WHERE user_id = $1 AND expires_at > now() + make_interval(secs => $2 - 300));

-- name: notice_product
SELECT p.id, p.name, p.stock, p.store_id, s.name AS store, z.name AS zone FROM products p JOIN stores s ON s.id = p.store_id JOIN zones z ON z.id = s.zone_id WHERE p.id = $1;

-- name: notice_preferences
SELECT type, channel, wanted FROM notice_preferences WHERE user_id = $1 ORDER BY type, channel;

-- name: notice_preferences_set
SELECT set_notice_preferences($1, $2::jsonb);

-- name: notices_trim
SELECT trim_notices($1, $2);

-- name: user_profile_update
-- $2 to $5 are the values; $6 and $7 say whether the phone and the quiet hours are set at all: NULL is a value of them.
UPDATE users SET phone = CASE WHEN $6::boolean THEN $2::text ELSE phone END, locale = coalesce($3, locale),
       time_zone = coalesce($4, time_zone),
       quiet_from = CASE WHEN $7::boolean THEN $5::time ELSE quiet_from END,
       quiet_to = CASE WHEN $7::boolean THEN $8::time ELSE quiet_to END
 WHERE id = $1 AND status <> 'deleted' RETURNING id;

-- name: store_contact
SELECT id, contact_email, contact_phone, locale FROM stores WHERE id = $1;

-- name: store_contact_set
UPDATE stores SET contact_email = $2, contact_phone = $3, locale = $4 WHERE id = $1
RETURNING id, contact_email, contact_phone, locale;

-- name: sandbox_add
SELECT add_sandbox_message($1::jsonb);

-- name: sandbox_messages
SELECT id, key, channel, recipient, subject, body, headers, at FROM sandbox_messages ORDER BY id DESC LIMIT 200;

-- name: sandbox_message
SELECT id, key, channel, recipient, subject, body, html, headers, at FROM sandbox_messages WHERE id = $1;
