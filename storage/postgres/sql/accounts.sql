-- Users, sessions, keys.

-- name: user_insert
-- $5: the normal form of the address (storage/email_addresses.py).
INSERT INTO users (email, password_hash, role, name, email_key) VALUES ($1, $2, $3, $4, $5) RETURNING *;

-- name: user_insert_many
-- Operators mint users in bulk; the addresses that exist already keep their user.
INSERT INTO users (email, role, name, email_key)
SELECT unnest($1::text[]), $2, unnest($3::text[]), unnest($4::text[])
ON CONFLICT (email_key) DO UPDATE SET name = users.name
RETURNING id, email, role, (xmax = 0) AS made;

-- name: create_drivers
SELECT create_drivers($1::jsonb);

-- name: drivers_existing
SELECT id FROM drivers WHERE id = ANY ($1::bigint[]);

-- name: user_for_login
-- $1: the normal form. `known`: somebody has logged in to the account from this network before.
SELECT u.*, EXISTS (SELECT FROM sessions s WHERE s.user_id = u.id AND s.network = $2) AS known
  FROM users u WHERE u.email_key = $1;

-- name: network_accounts
-- How many accounts have logged in from a network, $2 at most.
SELECT count(*) FROM (SELECT DISTINCT user_id FROM sessions WHERE network = $1 LIMIT $2) AS here;

-- name: user_get
SELECT u.*, d.zone_id, d.capacity FROM users u LEFT JOIN drivers d ON d.id = u.id WHERE u.id = $1;

-- name: user_lock
-- $2: tags that the caller has seen, NULL for any. From here on a login waits, and then sees what has changed.
SELECT u.*, EXISTS (SELECT FROM drivers d WHERE d.id = u.id) AS drives FROM users u
 WHERE id = $1 AND status <> 'deleted' AND ($2::text[] IS NULL OR version::text = ANY ($2)) FOR NO KEY UPDATE;

-- name: user_update
-- $5: the normal form of the address in $4.
UPDATE users SET name = coalesce($2, name), status = coalesce($3, status), email = coalesce($4, email),
       email_key = coalesce($5, email_key), role = coalesce($6, role),
       drove = drove OR (role = 'driver' AND coalesce($6, role) <> 'driver'), version = version + 1
 WHERE id = $1 RETURNING id;

-- name: user_carries
SELECT EXISTS (SELECT FROM assignment WHERE driver_id = $1);

-- name: user_anonymise
SELECT anonymise_user($1);

-- name: user_replace_password
-- By somebody who need not know the one before.
UPDATE users SET password_hash = $2 WHERE id = $1 AND status = 'active' RETURNING id;

-- name: user_by_email
SELECT id, role, status FROM users WHERE email_key = $1;

-- name: reset_make
-- A link for an account that is open; it voids the one before.
INSERT INTO password_reset (user_id, token_hash, expires_at)
SELECT id, $2, now() + make_interval(secs => $3) FROM users WHERE id = $1 AND status = 'active'
ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at
RETURNING expires_at;

-- name: reset_known
SELECT user_id FROM password_reset WHERE token_hash = $1 AND expires_at > now();

-- name: reset_take
-- Once: of two who show it at the same time one finds it gone.
DELETE FROM password_reset WHERE token_hash = $1 AND expires_at > now() RETURNING user_id;

-- name: user_set_password
-- Only in place of the hash that was verified: of two changes at once one wins, the other is told.
UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3 AND status = 'active' RETURNING id;

-- name: admin_exists
SELECT EXISTS (SELECT FROM users WHERE role = 'admin');

-- name: session_insert
-- Only while the hash is still the one that was checked, and the account open: the lock makes this and a change of
-- either take turns, and what comes second sees what came first. The role is that of this moment.
WITH holder AS (
    SELECT id, role FROM users WHERE id = $2 AND password_hash = $7 AND status = 'active' FOR SHARE
), opened AS (
    INSERT INTO sessions (id, user_id, token_hash, family_hash, network, expires_at)
    SELECT $1, h.id, $3, $4, $5, now() + make_interval(secs => $6) FROM holder h
)
SELECT role FROM holder;

-- name: session_is_open
SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > now();

-- name: session_lock
-- The session of a refresh token; the lock makes rotation and revocation take turns.
SELECT s.user_id, s.counter, s.token_hash, s.family_hash, s.salts, s.revoked_at IS NOT NULL AS revoked,
       s.expires_at < now() AS expired, u.role, u.status,
       ARRAY(SELECT extract(epoch FROM clock_timestamp() - at)::float8
               FROM unnest(s.replaced) WITH ORDINALITY AS r(at, nr) ORDER BY nr) AS ages_s
  FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.id = $1 AND s.family_hash IS NOT NULL FOR UPDATE OF s;

-- name: session_rotate
-- The next token, and the salt that made it; of the salts only the newest $4 are kept.
UPDATE sessions
   SET counter = counter + 1, token_hash = $2, rotated_at = clock_timestamp(),
       salts = (array_append(salts, $3))[greatest(1, cardinality(salts) + 2 - $4::int):],
       replaced = (array_append(replaced, clock_timestamp()))[greatest(1, cardinality(replaced) + 2 - $4::int):],
       expires_at = least(now() + make_interval(secs => $5), created_at + make_interval(secs => $6))
 WHERE id = $1;

-- name: session_revoke
UPDATE sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL;

-- name: sessions_revoke_user
UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL RETURNING id;

-- name: sessions_revoke_others
UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL RETURNING id;

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
-- Keys that verify, the newest first.
SELECT kid, private_pem, extract(epoch FROM signs_at)::float8 AS signs_at FROM signing_key
 WHERE retires_at IS NULL OR retires_at > now() ORDER BY signs_at DESC, kid;

-- name: signing_key_insert
-- Under the lock of rotations: of two first instances one makes it.
INSERT INTO signing_key (kid, private_pem) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM signing_key);

-- name: signing_keys_lock
-- One rotation at a time.
SELECT pg_advisory_xact_lock(7, 519);

-- name: signing_key_pending
SELECT kid, signs_at FROM signing_key WHERE signs_at > now() ORDER BY signs_at DESC;

-- name: signing_key_add
INSERT INTO signing_key (kid, private_pem, signs_at) VALUES ($1, $2, now() + make_interval(secs => $3))
RETURNING signs_at;

-- name: signing_keys_retire
-- The others verify for $3 seconds after the new one signs, and as long as minted tokens live unless $4.
UPDATE signing_key SET retires_at = least(retires_at, greatest(
       $2::timestamptz + make_interval(secs => $3),
       (SELECT max(expires_at) FROM sessions WHERE id LIKE 'mnt%' AND revoked_at IS NULL AND NOT $4::boolean)))
 WHERE kid <> $1;

-- name: signing_keys_trim
DELETE FROM signing_key WHERE retires_at < now();
