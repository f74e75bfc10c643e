-- Users, sessions, keys.

-- name: user_insert
INSERT INTO users (email, password_hash, role, name) VALUES ($1, $2, $3, $4) RETURNING *;

-- name: user_insert_many
-- Operators mint users in bulk; the addresses that exist already keep their user.
INSERT INTO users (email, role, name)
SELECT unnest($1::text[]), $2, unnest($3::text[])
ON CONFLICT (lower(email)) DO UPDATE SET name = users.name
RETURNING id, email, role, (xmax = 0) AS made;

-- name: create_drivers
SELECT create_drivers($1::jsonb);

-- name: drivers_existing
SELECT id FROM drivers WHERE id = ANY ($1::bigint[]);

-- name: user_by_email
SELECT * FROM users WHERE lower(email) = lower($1);

-- name: user_get
SELECT u.*, d.zone_id, d.capacity FROM users u LEFT JOIN drivers d ON d.id = u.id WHERE u.id = $1;

-- name: user_update
-- $2: tags that the caller has seen, NULL for any.
UPDATE users SET name = coalesce($3, name), status = coalesce($4, status), version = version + 1
 WHERE id = $1 AND ($2::text[] IS NULL OR version::text = ANY ($2)) RETURNING *;

-- name: user_set_password
UPDATE users SET password_hash = $2 WHERE id = $1;

-- name: admin_exists
SELECT EXISTS (SELECT FROM users WHERE role = 'admin');

-- name: session_insert
INSERT INTO sessions (id, user_id, token_hash, expires_at)
VALUES ($1, $2, $3, now() + make_interval(secs => $4));

-- name: session_lock
-- The session behind a refresh token, present or previous; the lock makes rotation and revocation take turns.
SELECT s.id, s.user_id, s.token_hash = $1 AS current, s.revoked_at IS NOT NULL AS revoked,
       s.expires_at < now() AS expired, extract(epoch FROM now() - s.rotated_at)::float8 AS age_s,
       u.role, u.status
  FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.token_hash = $1 OR s.previous_hash = $1 FOR UPDATE OF s;

-- name: session_rotate
UPDATE sessions SET previous_hash = token_hash, token_hash = $2, rotated_at = now(),
       expires_at = now() + make_interval(secs => $3) WHERE id = $1;

-- name: session_revoke
UPDATE sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL;

-- name: sessions_revoke_user
UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL;

-- name: revocations
-- Sessions that ended while access tokens of theirs may be alive, and users that are shut out.
SELECT ARRAY(SELECT id FROM sessions WHERE revoked_at > now() - make_interval(secs => $1)
             UNION ALL
             SELECT id FROM sessions WHERE revoked_at IS NOT NULL AND id LIKE 'mnt%' AND expires_at > now()) AS sessions,
       ARRAY(SELECT id FROM users WHERE status = 'banned') AS users;

-- name: session_insert_many
-- Sessions of minted tokens: nothing refreshes them, but they can be revoked.
INSERT INTO sessions (id, user_id, token_hash, expires_at)
SELECT x.id, x.user_id, sha256(x.id::bytea), now() + make_interval(secs => $3)
  FROM unnest($1::text[], $2::bigint[]) AS x(id, user_id);

-- name: sessions_trim
DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < now() - interval '1 day' LIMIT 5000);

-- name: signing_keys
SELECT kid, private_pem FROM signing_key ORDER BY created_at DESC;

-- name: signing_key_insert
INSERT INTO signing_key (kid, private_pem) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM signing_key);
