/*
 * literal.h - values as SQL text, for scripts that are printed and run elsewhere.
 *
 * What pawl runs itself binds its values (pg/arg.h); a script has nobody to bind them. Quoted is as the server reads it
 * with standard_conforming_strings = on, which every script sets first.
 *
 * Threads: a buffer belongs to one thread.
 * Memory:  as util/strbuf.h.
 */
#ifndef PAWL_PG_LITERAL_H
#define PAWL_PG_LITERAL_H

#include "util/strbuf.h"

/* 'text', with quotes inside it doubled; NULL for a null pointer. */
void pawl_sql_literal(pawl_strbuf *b, const char *text);

/* ARRAY['a', 'b']::text[] */
void pawl_sql_literal_array(pawl_strbuf *b, const char *const *items, size_t count);

/* $pawl$body$pawl$, with a tag that does not stand in the body. */
void pawl_sql_dollar(pawl_strbuf *b, const char *body);

/* Static SQL of ours with its parameters $1 ... $n replaced by expressions, which are SQL already. */
void pawl_sql_inline(pawl_strbuf *b, const char *sql, int nargs, const char *const *args);

#endif
