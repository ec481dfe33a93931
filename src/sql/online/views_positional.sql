-- Whether a view, or a rule of it, gives columns of a table other names by their place: t AS x(a, b, c), or a join of
-- whatever with such a list.
-- Parameters: $1 the view, as SQL; $2 the oid of the table.
-- Result: one row: positional.
-- PostgreSQL shows such lists nowhere but in the parse tree, where names are written with quotes and backslashes.
SELECT EXISTS (
       SELECT FROM pg_rewrite r
        WHERE r.ev_class = $1::regclass
          AND r.ev_action::text ~ format(
              ':alias \{ALIAS :aliasname (?:\\.|[^ \\])+ :colnames \((?:"(?:\\.|[^"\\])*" ?)+\)\} '
              || ':eref \{ALIAS :aliasname (?:\\.|[^ \\])+ :colnames \((?:"(?:\\.|[^"\\])*" ?)*\)\} '
              || ':rtekind (?:0 :relid %s |2 )', $2::bigint)) AS positional
