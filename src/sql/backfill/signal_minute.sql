-- The minute of the day in a time zone; only the server knows the zones.
-- $1 zone
-- -> minute
SELECT (extract(hour FROM n.at) * 60 + extract(minute FROM n.at))::integer
  FROM (SELECT timezone($1::text, clock_timestamp()) AS at) n
