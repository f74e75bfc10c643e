-- What the rate limits ask: is a creation the repetition of an earlier one?

-- name: key_known
SELECT true FROM idempotency WHERE principal_id = $1 AND route = $2 AND key_hash = $3 AND expires_at > now();
