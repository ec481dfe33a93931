#include "support/priced.h"

#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

void
pawl_test_priced_write(const char *db, int round)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(
        &sql,
        "UPDATE p SET price = '%d', truth = %d WHERE id %% 7 = 1; INSERT INTO p (id, price, truth) VALUES "
        "(%d, '5', 5); BEGIN; DELETE FROM p WHERE id = 3; INSERT INTO p (id, price, truth) VALUES (3, "
        "'%d', %d); COMMIT; UPDATE p SET id = %d WHERE id = (SELECT max(id) FROM p WHERE id <= 300)",
        round, round, 1000 + round, round, round, 2000 + round);
    pawl_test_exec(db, sql.data);
}
