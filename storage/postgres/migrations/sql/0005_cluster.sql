-- What instances must share to speak to each other: whoever can read this database is one of them.

ALTER TABLE cluster_meta ADD COLUMN peer_secret text NOT NULL
    DEFAULT replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
