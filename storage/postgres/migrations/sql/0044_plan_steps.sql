-- Inputs of the planner's steps that led to offers, so that each decision can be made again.
CREATE TABLE plan_steps (
    zone_id  bigint NOT NULL,
    asked_ms bigint NOT NULL,
    number   bigint NOT NULL,
    planner  text NOT NULL,
    input    bytea NOT NULL CHECK (octet_length(input) <= 262144),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (zone_id, asked_ms, number)
);
ALTER TABLE plan_steps ALTER COLUMN input SET STORAGE EXTERNAL;
CREATE INDEX plan_steps_at ON plan_steps (at);
GRANT SELECT, INSERT, DELETE ON plan_steps TO mall_app;
