-- Where an unqualified CREATE would put things, and whether this role may.
-- Parameters: none; the search_path is that of the user's SQL.
-- Result: one row: schema, quoted, '' when the search_path names none that is there; can_create; role, quoted.
SELECT coalesce(quote_ident(current_schema()), '') AS name,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS can_create,
       quote_ident(current_user) AS role
