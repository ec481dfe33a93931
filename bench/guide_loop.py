"""The loop that most migration guides print, with nothing between it and libpq: SELECT ... LIMIT n OFFSET k without
ORDER BY, then one UPDATE a row, a transaction a batch. Guides print it over an ORM, which costs more still.

Run as a program: guide_loop.py CONNINFO BATCH. Prints as JSON how many rows it was given, how many of them twice.
"""

import json
import sys

from libpq import Connection
from table import transform


def main(conninfo, batch):
    conn = Connection(conninfo)
    seen = set()
    offset = given = 0
    while True:
        conn.execute("BEGIN")
        rows = conn.execute("SELECT id, price FROM products LIMIT $1 OFFSET $2", batch, offset)
        for key, price in rows:
            conn.execute("UPDATE products SET price_amount = $1 WHERE id = $2", transform(price), key)
            seen.add(key)
        conn.execute("COMMIT")
        given += len(rows)
        if len(rows) < batch:
            break
        offset += batch
    print(json.dumps({"given": given, "distinct": len(seen)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
