-- May this role set session_replication_role? Before PostgreSQL 15 that was a superuser's alone.
-- Parameters: none.
-- Result: one row: can_set.
SELECT has_parameter_privilege(current_user, 'session_replication_role', 'SET') AS can_set
