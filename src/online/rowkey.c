#include "online/rowkey.h"

#include <string.h>

#include "pg/arg.h"

#include "util/banned.h"

static bool
is_integer(const pawl_column *c)
{
    return c->base_type == PAWL_OID_INT2 || c->base_type == PAWL_OID_INT4 || c->base_type == PAWL_OID_INT8;
}

static bool
is_text(const pawl_column *c)
{
    return c->base_type == PAWL_OID_TEXT || c->base_type == PAWL_OID_VARCHAR;
}

/* The column itself, or an integer that becomes a wider one. */
static bool
is_same_value(const pawl_shape_column *sent, const pawl_column *c)
{
    if (sent->source == NULL || strcmp(sent->source->name, c->name) != 0)
        return false;
    return sent->from == PAWL_SHAPE_KEPT ||
           (sent->from == PAWL_SHAPE_CAST && is_integer(c) && is_integer(sent->target));
}

/* Where the column stands among those that are sent; nsent: nowhere. */
static size_t
place_of(const pawl_shape *s, const pawl_column *c)
{
    size_t at = 0;

    while (at < s->nsent && !is_same_value(s->sent[at], c))
        at++;
    return at;
}

bool
pawl_rowkey_is_there(const pawl_shape *s)
{
    if (s->nmade > 0)
        return true;
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        const pawl_column *c = s->key->columns[i].column;

        if ((!is_integer(c) && !is_text(c)) || place_of(s, c) == s->nsent)
            return false;
    }
    return s->is_binary;
}

static bool
can_add_integer(pawl_strbuf *b, const char *data, size_t length)
{
    uint64_t n = 0;

    if (length != 2 && length != 4 && length != 8)
        return false;
    for (size_t i = 0; i < length; i++)
        n = n << 8 | (unsigned char) data[i];
    if (length < 8 && ((unsigned char) data[0] & 0x80) != 0)
        n |= ~UINT64_C(0) << (8 * length);
    pawl_strbuf_addf(b, "%lld", (long long) (int64_t) n);
    return true;
}

/* The text of one column; false when the fields end before it, or it is none. */
static bool
can_add_field(pawl_strbuf *b, const pawl_column *c, size_t place, const char *fields, size_t length)
{
    size_t at = 0;

    for (size_t i = 0;; i++)
    {
        int32_t n;

        if (length - at < 4)
            return false;
        n = pawl_decode_i32(fields + at);
        at += 4;
        if (n > 0 && length - at < (size_t) n)
            return false;
        if (i == place)
        {
            if (n < 0)
                return false;
            if (is_integer(c))
                return can_add_integer(b, fields + at, (size_t) n);
            pawl_strbuf_addn(b, fields + at, (size_t) n);
            return true;
        }
        at += n > 0 ? (size_t) n : 0;
    }
}

pawl_status
pawl_rowkey_read(const pawl_shape *s, const char *fields, size_t length, const pawl_lua_value *read,
                 pawl_keyval *out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(texts);
    size_t start[PAWL_KEY_MAX];
    const char *parts[PAWL_KEY_MAX];

    for (int i = 0; i < s->key->ncolumns; i++)
    {
        const pawl_column *c = s->key->columns[i].column;
        bool is_there = true;

        start[i] = texts.length;
        if (s->nmade == 0)
            is_there = can_add_field(&texts, c, place_of(s, c), fields, length);
        else if (read[i].data != NULL)
            pawl_strbuf_addn(&texts, read[i].data, read[i].length);
        else
            is_there = false;
        if (!is_there)
            return pawl_error_set(err, PAWL_E_BUG, "a row of \"%s.%s\" came without its key",
                                  s->table->schema, s->table->name);
        pawl_strbuf_addc(&texts, '\0');
    }
    if (!pawl_strbuf_is_ok(&texts))
        return pawl_error_nomem(err, "a key");
    for (int i = 0; i < s->key->ncolumns; i++)
        parts[i] = texts.data + start[i];
    return pawl_keyval_set(out, s->key->ncolumns, parts, err);
}
