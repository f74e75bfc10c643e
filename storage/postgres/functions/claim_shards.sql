-- Claiming shards: the fence that promise 1 stands on. A lease in Redis says who should serve a shard; the epoch that
-- this function raises says who may write it (actors/PROTOCOL.md).

-- Raises the epochs of shards for one life of an instance, and returns the old and the new ones.
--
-- It waits for every flush() that has locked one of the shards; every later flush of the previous owner finds the new
-- epoch and is refused. An epoch is at least the clock's milliseconds, so that epochs keep rising even if Postgres
-- fails over to a replica that missed the last claims.
--
-- p_expected has an epoch for each shard, or is NULL. With it, only shards are claimed that still have this epoch or
-- that this very incarnation has claimed: an owner that settles a commit without an answer must not take back a shard
-- that went to another one. A shard that was left alone comes back with new_epoch NULL.
CREATE FUNCTION claim_shards(p_shards integer[], p_owner text, p_incarnation text, p_expected bigint[])
RETURNS TABLE (shard_id integer, new_epoch bigint, previous_epoch bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT id, epoch, incarnation FROM shard WHERE id = ANY (p_shards) ORDER BY id FOR UPDATE LOOP
        shard_id := s.id;
        previous_epoch := s.epoch;
        new_epoch := NULL;
        IF p_expected IS NULL OR s.epoch = p_expected[array_position(p_shards, s.id)]
           OR s.incarnation = p_incarnation THEN
            new_epoch := greatest(s.epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
            UPDATE shard SET epoch = new_epoch, owner = p_owner, incarnation = p_incarnation,
                   claimed_at = to_timestamp(new_epoch / 1000.0) WHERE id = s.id;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION claim_shards FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_shards TO mall_app;
