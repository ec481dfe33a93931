/*
 * rowkey.h - the key of a row as the server would print it, out of what a COPY of the copier brings.
 *
 * Where a transform is run the key comes along as text. Where there is none, it is among the columns that pass through,
 * and is read out of their binary form if its types are simple enough.
 *
 * Threads: plain functions; they look at the shape only.
 * Memory:  out is the caller's.
 */
#ifndef PAWL_ONLINE_ROWKEY_H
#define PAWL_ONLINE_ROWKEY_H

#include "backfill/keyval.h"
#include "online/shape.h"

/* Whether it can be read of this shape's rows, once looked at. */
bool pawl_rowkey_is_there(const pawl_shape *shape);

/*
 * `fields`: the columns that are sent, each a length and its bytes, `length` bytes in all; `read`: what the transform
 * reads, NULL where there is none. PAWL_E_BUG when the fields are not what they should be.
 */
PAWL_NODISCARD pawl_status pawl_rowkey_read(const pawl_shape *shape, const char *fields, size_t length,
                                            const pawl_lua_value *read, pawl_keyval *out, pawl_error *err);

#endif
