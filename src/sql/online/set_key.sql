-- Parts of a key into settings of the transaction, for a COPY, which takes no parameters.
-- $1 names  $2 values
SELECT count(set_config(u.name, u.value, true)) FROM unnest($1::text[], $2::text[]) AS u(name, value)
