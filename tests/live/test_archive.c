#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define ONE_PENDING                                                            \
    "revision: \"aaaa1111\"\nparents: []\ndescription: x\nup:\n"               \
    "  - sql: CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)\n" \
    "    down: nothing\n"

/* Run pawl in `dir`; the words end with NULL. */
static pawl_test_output
pawl(const char *dir, const char *const *words)
{
    return pawl_test_run(words, NULL, dir);
}

/* The same, and fail the test unless it exits so and says `text` on either stream. */
static void
expect(const char *dir, int exit_code, const char *text, const char *const *words)
{
    pawl_test_output output = pawl(dir, words);

    if (output.exit_code != exit_code ||
        (strstr(output.out, text) == NULL && strstr(output.err, text) == NULL))
        fail_msg("pawl %s %s: exit code %d, not %d with \"%s\"\n%s%s", words[0], words[1], output.exit_code,
                 exit_code, text, output.out, output.err);
    pawl_test_output_free(&output);
}

#define EXPECT(dir, exit_code, text, ...) \
    expect(dir, exit_code, text, (const char *const[]){__VA_ARGS__, NULL})

static bool
has_file(const char *dir, const char *name)
{
    PAWL_STRBUF_AUTO(path);
    struct stat found;

    pawl_strbuf_addf(&path, "%s/%s", dir, name);
    return lstat(path.data, &found) == 0;
}

static unsigned int
mode_of(const char *dir, const char *name)
{
    PAWL_STRBUF_AUTO(path);
    struct stat found = {.st_mode = 0};

    pawl_strbuf_addf(&path, "%s/%s", dir, name);
    assert_int_equal(lstat(path.data, &found), 0);
    return (unsigned int) found.st_mode & 0777;
}

static const char *
filled(const char *name)
{
    const char *db = pawl_test_database_new(name);

    pawl_test_exec(db, "CREATE SCHEMA \"Odd One\"");
    pawl_test_exec(db, "CREATE TABLE t (id bigint PRIMARY KEY, a text)");
    pawl_test_exec(db, "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5000) g");
    pawl_test_exec(db, "CREATE TABLE \"Odd One\".\"TABLE x\" (id bigint REFERENCES t)");
    return db;
}

/* How many rows, and a digest of them. */
static char *
content(const char *db)
{
    return pawl_test_query_text(db, "SELECT count(*) || md5(string_agg(t::text, ',' ORDER BY id)) FROM t");
}

static void
archive_restores_to_the_same_rows_and_ledger(void **state)
{
    static const char *const formats[] = {"directory", "custom"};
    const char *from = filled("archive_from");
    const char *dir = pawl_test_project_new(from, NULL);
    char *before = content(from);

    (void) state;
    pawl_test_project_write(dir, "migrations/aaaa1111_x.yaml", ONE_PENDING);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    for (int i = 0; i < 2; i++)
    {
        const char *to = pawl_test_database_new("archive_to");
        char *after;

        EXPECT(dir, 0, "entries", "backup", formats[i], "--format", formats[i], "--read");
        assert_false(has_file(dir, i == 0 ? "directory.partial" : "custom.partial"));
        assert_int_equal(mode_of(dir, formats[i]), i == 0 ? 0700 : 0600);
        EXPECT(dir, 0, "restored", "restore", formats[i], "--database", to);
        after = content(to);
        assert_string_equal(after, before);
        free(after);
        assert_int_equal(pawl_test_query_i64(to, "SELECT count(*) FROM pawl.revision"), 1);
        EXPECT(dir, 0, "1 applied revision is as on disk", "check", "--database", to);
    }
    free(before);
}

static void
nothing_that_exists_is_overwritten(void **state)
{
    const char *dir = pawl_test_project_new(filled("archive_over"), NULL);

    (void) state;
    pawl_test_project_write(dir, "precious", "do not touch");
    EXPECT(dir, 1, "is there already", "backup", "precious", "--format", "custom");
    EXPECT(dir, 1, "is there already", "backup", "precious");
    EXPECT(dir, 1, "is there already", "backup", "migrations/");
    pawl_test_project_write(dir, "other.partial", "of another backup");
    EXPECT(dir, 1, "another backup is writing it", "backup", "other");
    assert_true(has_file(dir, "other.partial"));
    assert_false(has_file(dir, "other"));
    assert_false(has_file(dir, "precious.partial"));
}

static void
restore_refuses_a_database_that_is_not_empty(void **state)
{
    const char *from = filled("archive_full");
    const char *dir = pawl_test_project_new(from, NULL);

    (void) state;
    EXPECT(dir, 0, "archive", "backup", "archive");
    EXPECT(dir, 1, "is not empty", "restore", "archive");
    EXPECT(dir, 1, "nobody can be asked", "restore", "archive", "--clean");
    pawl_test_exec(from, "DELETE FROM t WHERE id > 10");
    EXPECT(dir, 0, "restored", "restore", "archive", "--clean", "--yes");
    assert_int_equal(pawl_test_query_i64(from, "SELECT count(*) FROM t"), 5000);
}

static void
failed_restore_leaves_the_database_as_it_was(void **state)
{
    const char *from = filled("archive_atomic");
    const char *dir = pawl_test_project_new(from, NULL);

    (void) state;
    EXPECT(dir, 0, "archive", "backup", "archive");
    /* A table of the same name stands in the way of --clean: a view of another's depends on it. */
    pawl_test_exec(from, "CREATE VIEW in_the_way AS SELECT a FROM t");
    EXPECT(dir, 1, "the database is as it was", "restore", "archive", "--clean", "--yes");
    EXPECT(dir, 1, "in_the_way", "restore", "archive", "--clean", "--yes");
    assert_int_equal(pawl_test_query_i64(from, "SELECT count(*) FROM t"), 5000);
    EXPECT(dir, 1, "cannot be read as an archive", "restore", "pawl.yaml");
}

static void
failed_backup_removes_what_it_wrote(void **state)
{
    const char *from = filled("archive_denied");
    const char *dir = pawl_test_project_new(from, NULL);
    PAWL_STRBUF_AUTO(conninfo);

    (void) state;
    pawl_test_exec(from, "DROP ROLE IF EXISTS archive_nobody");
    pawl_test_exec(from, "CREATE ROLE archive_nobody LOGIN");
    pawl_strbuf_addf(&conninfo, "%s user=archive_nobody", from);
    EXPECT(dir, 1, "permission denied", "backup", "archive", "--database", conninfo.data);
    assert_false(has_file(dir, "archive"));
    assert_false(has_file(dir, "archive.partial"));
}

/* True when some process other than this one was started with the text on its command line. */
static bool
is_on_a_command_line(const char *text)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    bool is_found = false;

    while (proc != NULL && (entry = readdir(proc)) != NULL)
    {
        char path[300];
        char line[4096] = "";
        int fd;
        ssize_t n;

        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            strtol(entry->d_name, NULL, 10) == (long) getpid())
            continue;
        pawl_fmt(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        fd = open(path, O_RDONLY);
        n = fd == -1 ? 0 : read(fd, line, sizeof line - 1);
        for (ssize_t i = 0; i < n; i++)
            line[i] = line[i] == '\0' ? ' ' : line[i];
        is_found = is_found || strstr(line, text) != NULL;
        if (fd != -1)
            (void) close(fd);
    }
    if (proc != NULL)
        (void) closedir(proc);
    return is_found;
}

#define DUMPS "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'pg_dump'"

static void
stopped_backup_ends_pg_dump_and_removes_what_it_wrote(void **state)
{
    const char *from = filled("archive_stop");
    const char *dir;
    const char *const words[] = {"backup", "archive", NULL};
    pawl_test_process *process;
    pawl_test_output output;
    PAWL_STRBUF_AUTO(conninfo);
    PGconn *holder;

    (void) state;
    pawl_test_exec(from, "DROP ROLE IF EXISTS " PAWL_TEST_PASSWORD_ROLE);
    pawl_test_exec(from, "CREATE ROLE " PAWL_TEST_PASSWORD_ROLE " SUPERUSER LOGIN PASSWORD 'unspeakable'");
    pawl_strbuf_addf(&conninfo, "%s user=" PAWL_TEST_PASSWORD_ROLE " password=unspeakable", from);
    dir = pawl_test_project_new(conninfo.data, NULL);
    holder = pawl_test_connect(from);
    pawl_test_run_on(holder, "BEGIN");
    pawl_test_run_on(holder, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");

    process = pawl_test_start(words, NULL, dir);
    pawl_test_wait_until(from, DUMPS " AND wait_event_type = 'Lock'", 30000);
    assert_true(is_on_a_command_line("--dbname=dbname='archive_stop'"));
    assert_false(is_on_a_command_line("unspeakable"));
    assert_true(has_file(dir, "archive.partial"));
    pawl_test_kill(pawl_test_process_pid(process), SIGINT);
    output = pawl_test_wait(process, 30000);
    if (output.exit_code != 3)
        fail_msg("exit code %d\n%s", output.exit_code, output.err);
    pawl_test_output_free(&output);
    assert_false(has_file(dir, "archive"));
    assert_false(has_file(dir, "archive.partial"));
    pawl_test_wait_until(
        from, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump')", 30000);
    pawl_test_run_on(holder, "ROLLBACK");
    PQfinish(holder);
    EXPECT(dir, 0, "archive", "backup", "archive");
    pawl_test_exec(from, "DROP ROLE " PAWL_TEST_PASSWORD_ROLE);
}

static void
older_pg_dump_is_refused(void **state)
{
    const char *dir = pawl_test_project_new(filled("archive_old"), NULL);
    PAWL_STRBUF_AUTO(bin);
    PAWL_STRBUF_AUTO(path);

    (void) state;
    pawl_test_project_write(dir, "pg_dump", "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n");
    pawl_strbuf_addf(&path, "%s/pg_dump", dir);
    pawl_strbuf_addf(&bin, "%s", dir);
    assert_int_equal(chmod(path.data, 0755), 0);
    EXPECT(dir, 1, "pg_dump is of PostgreSQL 9", "backup", "archive", "--bin-dir", bin.data);
    EXPECT(dir, 1, "was not found in /nowhere", "backup", "archive", "--bin-dir", "/nowhere");
    assert_false(has_file(dir, "archive.partial"));
}

static void
backup_behind_a_pooler_wants_the_direct_way(void **state)
{
    const char *from = filled("archive_pooled");
    const char *pooled = pawl_test_pooled_conninfo("archive_pooled");
    const char *dir;

    (void) state;
    if (pooled == NULL)
        skip();
    dir = pawl_test_project_new(pooled, NULL);
    EXPECT(dir, 1, "direct_database", "backup", "archive");
    EXPECT(dir, 0, "archive", "backup", "archive", "--direct-database", from);
}

static void
result_is_one_document(void **state)
{
    const char *from = filled("archive_json");
    const char *to = pawl_test_database_new("archive_json_to");
    const char *dir = pawl_test_project_new(from, NULL);

    (void) state;
    EXPECT(dir, 0, "\"tables\": 2", "backup", "archive", "--json");
    EXPECT(dir, 0, "\"tables_now\": 2", "restore", "archive", "--json", "--jobs", "2", "--database", to);
    EXPECT(dir, 1, "\"code\":\"refused\"", "restore", "archive", "--json", "--database", to);
    EXPECT(dir, 2, "--jobs needs --format directory", "backup", "x", "--format", "custom", "--jobs", "2");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archive_restores_to_the_same_rows_and_ledger),
        cmocka_unit_test(nothing_that_exists_is_overwritten),
        cmocka_unit_test(restore_refuses_a_database_that_is_not_empty),
        cmocka_unit_test(failed_restore_leaves_the_database_as_it_was),
        cmocka_unit_test(failed_backup_removes_what_it_wrote),
        cmocka_unit_test(stopped_backup_ends_pg_dump_and_removes_what_it_wrote),
        cmocka_unit_test(older_pg_dump_is_refused),
        cmocka_unit_test(backup_behind_a_pooler_wants_the_direct_way),
        cmocka_unit_test(result_is_one_document),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
