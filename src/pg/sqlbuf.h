/*
 * sqlbuf.h - the builder of dynamic SQL, which knows identifiers from text.
 *
 * Identifiers enter SQL here and nowhere else, always quoted; values never enter it, they are parameters. Texts that a
 * user wrote as SQL (`where:`, `set:`) are added as fragments: between parentheses and ended by a newline, so that a
 * comment at their end swallows nothing.
 *
 * Threads: a buffer belongs to one thread.
 * Memory:  as util/strbuf.h, which it is.
 */
#ifndef PAWL_PG_SQLBUF_H
#define PAWL_PG_SQLBUF_H

#include "util/strbuf.h"

/* Static SQL of ours, with no place for values. */
void pawl_sql_add(pawl_strbuf *b, const char *sql);

/* "name", with quotes inside it doubled. */
void pawl_sql_ident(pawl_strbuf *b, const char *name);

/* "schema"."name" */
void pawl_sql_ident2(pawl_strbuf *b, const char *schema, const char *name);

/* alias."name", where alias is static text of ours. */
void pawl_sql_column(pawl_strbuf *b, const char *alias, const char *name);

/* $n */
void pawl_sql_param(pawl_strbuf *b, int n);

/* ( user's SQL \n) */
void pawl_sql_fragment(pawl_strbuf *b, const char *user_sql);

/* OPERATOR("schema".op): op must consist of operator characters, else the buffer is marked as failed. */
void pawl_sql_operator(pawl_strbuf *b, const char *schema, const char *op);

/* A type name as format_type() printed it: already quoted by the server. */
void pawl_sql_type(pawl_strbuf *b, const char *format_type_text);

#endif
