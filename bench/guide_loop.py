"""The loop that most migration guides print, with nothing between it and libpq: SELECT ... LIMIT n OFFSET k without
ORDER BY, then one UPDATE a row, a transaction a batch. Guides print it over an ORM, which costs more still.

Run as a program: guide_loop.py CONNINFO BATCH. Prints as JSON how many rows it was given, how many of them twice.
"""

import ctypes
import ctypes.util
import json
import sys

from table import transform

TUPLES_OK, COMMAND_OK = 2, 1


class Connection:
    """As much of a driver as the loop needs."""

    def __init__(self, conninfo):
        self.pq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
        for name in ("PQconnectdb", "PQexecParams", "PQgetvalue", "PQerrorMessage"):
            getattr(self.pq, name).restype = ctypes.c_void_p
        self.pq.PQgetvalue.restype = ctypes.c_char_p
        self.pq.PQerrorMessage.restype = ctypes.c_char_p
        for name in ("PQresultStatus", "PQntuples", "PQclear", "PQstatus"):
            getattr(self.pq, name).argtypes = [ctypes.c_void_p]
        self.pq.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self.pq.PQerrorMessage.argtypes = [ctypes.c_void_p]
        self.conn = ctypes.c_void_p(self.pq.PQconnectdb(conninfo.encode()))
        if self.pq.PQstatus(self.conn) != 0:
            raise SystemExit(self.pq.PQerrorMessage(self.conn).decode())

    def execute(self, sql, *values):
        texts = (ctypes.c_char_p * len(values))(*(None if v is None else v.encode() for v in values))
        result = ctypes.c_void_p(
            self.pq.PQexecParams(self.conn, sql, len(values), None, texts, None, None, 0))
        if self.pq.PQresultStatus(result) not in (TUPLES_OK, COMMAND_OK):
            raise SystemExit(self.pq.PQerrorMessage(self.conn).decode())
        rows = [(self.pq.PQgetvalue(result, i, 0).decode(), self.pq.PQgetvalue(result, i, 1).decode())
                for i in range(self.pq.PQntuples(result))]
        self.pq.PQclear(result)
        return rows


def main(conninfo, batch):
    conn = Connection(conninfo)
    seen = set()
    offset = given = 0
    while True:
        conn.execute(b"BEGIN")
        rows = conn.execute(b"SELECT id, price FROM products LIMIT $1 OFFSET $2", str(batch), str(offset))
        for key, price in rows:
            conn.execute(b"UPDATE products SET price_amount = $1 WHERE id = $2", transform(price), key)
            seen.add(key)
        conn.execute(b"COMMIT")
        given += len(rows)
        if len(rows) < batch:
            break
        offset += batch
    print(json.dumps({"given": given, "distinct": len(seen)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
