"""As much of a driver as the benchmarks' own loops need, with nothing between them and libpq."""

import ctypes
import ctypes.util

TUPLES_OK, COMMAND_OK = 2, 1


class Connection:
    """One session. Values travel as text; an error ends the program with the server's words."""

    def __init__(self, conninfo):
        self.pq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
        for name in ("PQconnectdb", "PQexecParams"):
            getattr(self.pq, name).restype = ctypes.c_void_p
        for name in ("PQgetvalue", "PQerrorMessage", "PQcmdTuples"):
            getattr(self.pq, name).restype = ctypes.c_char_p
        for name in ("PQresultStatus", "PQntuples", "PQnfields", "PQclear", "PQstatus", "PQcmdTuples"):
            getattr(self.pq, name).argtypes = [ctypes.c_void_p]
        self.pq.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self.pq.PQgetisnull.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self.pq.PQerrorMessage.argtypes = [ctypes.c_void_p]
        self.conn = ctypes.c_void_p(self.pq.PQconnectdb(conninfo.encode()))
        if self.pq.PQstatus(self.conn) != 0:
            raise SystemExit(self.pq.PQerrorMessage(self.conn).decode())
        self.touched = 0

    def execute(self, sql, *values):
        """The rows of the answer as tuples of texts; `touched` is then the number of rows that were written."""
        texts = (ctypes.c_char_p * len(values))(*(None if v is None else str(v).encode() for v in values))
        result = ctypes.c_void_p(
            self.pq.PQexecParams(self.conn, sql.encode(), len(values), None, texts, None, None, 0))
        if self.pq.PQresultStatus(result) not in (TUPLES_OK, COMMAND_OK):
            raise SystemExit(self.pq.PQerrorMessage(self.conn).decode())
        rows = [tuple(self._value(result, i, j) for j in range(self.pq.PQnfields(result)))
                for i in range(self.pq.PQntuples(result))]
        self.touched = int(self.pq.PQcmdTuples(result) or 0)
        self.pq.PQclear(result)
        return rows

    def _value(self, result, row, column):
        if self.pq.PQgetisnull(result, row, column) == 1:
            return None
        return self.pq.PQgetvalue(result, row, column).decode()
