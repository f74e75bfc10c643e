-- Reports: the calls of functions/reports.sql.

-- name: find_unassigned
SELECT find_unassigned($1::integer);

-- name: mark_report_days
SELECT mark_report_days($1::integer);

-- name: refresh_marked_day
SELECT refresh_marked_day();

-- name: make_digests
SELECT make_digests($1::text, $2::integer);

-- name: learn_delivery_times
SELECT learn_delivery_times();

-- name: learn_from_deliveries
SELECT learn_from_deliveries($1::integer, $2::integer);

-- name: next_pooling_day
SELECT next_pooling_day($1::integer, $2::integer);

-- name: keep_pooling_day
SELECT keep_pooling_day($1::bigint, $2::text::date, $3::double precision, $4::double precision, $5::double precision);
