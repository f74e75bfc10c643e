-- What a zone says about who is asked, and for how long.
ALTER TABLE zones
    -- Metres from the pick-up; a driver farther away is not asked.
    ADD COLUMN offer_distance_max_m integer NOT NULL DEFAULT 50000 CHECK (offer_distance_max_m BETWEEN 1 AND 1000000),
    -- For so long an order that was taken from a driver is not offered to that driver while somebody else is there.
    ADD COLUMN release_pause_s integer NOT NULL DEFAULT 600 CHECK (release_pause_s BETWEEN 0 AND 86400),
    -- An order that nobody has taken by then is cancelled. NULL: it waits for ever.
    ADD COLUMN give_up_after_s integer DEFAULT 3600 CHECK (give_up_after_s BETWEEN 1 AND 604800);

CREATE OR REPLACE VIEW zone_rows AS
SELECT z.id, z.name, z.mode, z.wave_size, z.offer_ttl_s, '' AS writer, z.offer_distance_max_m, z.release_pause_s,
       z.give_up_after_s
  FROM zones z;
