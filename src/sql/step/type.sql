-- Is this text the name of a type? Anything but a type's name is a syntax error.
-- Parameters: $1 text.
-- Result: one row: the type, NULL when there is none of that name.
SELECT pg_catalog.to_regtype($1::pg_catalog.text)::pg_catalog.text
