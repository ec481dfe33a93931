"""The table that is migrated, and the transform in its three spellings: Lua, SQL and Python."""

# Prices as people typed them: thousands with commas, currency signs, blanks, and a few that are not known.
MAKE = """
CREATE TABLE template AS
SELECT i::bigint AS id, (i % 977)::int AS shop, (i % 53)::int AS stock,
       'product ' || i || ' ' || substr(md5(i::text), 1, 8) AS name,
       CASE WHEN i % 50 = 0 THEN 'N/A'
            WHEN i % 5 = 0 THEN '$' || to_char(i % 90000 + 0.5, 'FM99,990.00')
            WHEN i % 5 = 1 THEN ' ' || (i % 9000)::text || '.90 '
            ELSE (i % 5000)::text || '.25' END AS price,
       substr(md5((i * 7)::text), 1, 28) AS note,
       NULL::numeric(10,2) AS price_amount
  FROM generate_series(1, {rows}) i ORDER BY i
"""

# The same with longer notes: so many times 32 characters.
WIDE = MAKE.replace("substr(md5((i * 7)::text), 1, 28)",
                    "(SELECT string_agg(md5((i * 7 + k)::text), '') FROM generate_series(1, {notes}) k)")

# A copy in key order (a scan that is parallel, or begins in the middle, would shuffle it), as after a VACUUM, and a
# checkpoint, so that every contender writes the same full-page images.
COPY = (
    "DROP TABLE IF EXISTS products",
    "DROP SCHEMA IF EXISTS pawl CASCADE",
    "SET max_parallel_workers_per_gather = 0",
    "SET synchronize_seqscans = off",
    "CREATE TABLE products AS TABLE template",
    "ALTER TABLE products ADD PRIMARY KEY (id)",
    "VACUUM (FREEZE, ANALYZE) products",
    "CHECKPOINT",
)

# Every row is written, those without a price with NULL: all contenders do the same work.
EXPRESSION = "nullif(translate(price, '$, ', ''), 'N/A')::numeric"

LUA = """\
local M = {}

function M.row(row)
  local text = row.price:gsub("[%s,$]", "")
  if text == "N/A" then return { price_amount = pawl.null } end
  local amount = text:match("^%d+%.?%d*$")
  if not amount then pawl.reject("not a price: " .. row.price) end
  return { price_amount = amount }
end

return M
"""


def transform(price):
    """The same for the loop in Python."""
    text = price.replace("$", "").replace(",", "").replace(" ", "")
    return None if text == "N/A" else text


CHECKSUM = """
SELECT count(*), count(price_amount),
       sum(hashtextextended(id || ':' || coalesce(price_amount::text, '-'), 0)::numeric)
  FROM products
"""

SIZES = """
SELECT pg_table_size('products'), pg_indexes_size('products'), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')
"""
