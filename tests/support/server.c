#include "support/server.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/process.h"
#include "util/clock.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define POOLER       "/usr/sbin/pgbouncer"
#define POOLER_PORT  6432
#define STANDBY_PORT 5433
#define PORT         5432
#define SKIPPED      77
#define CONNINFOS    256
#define START_MS     60000
#define SUPERUSER    "postgres"

typedef struct server
{
    char dir[64];
    char data[96];
    char log[96];
    char bin[256];
    char os_user[32]; /* who runs it when we are root, else empty */
    pid_t postmaster;
    pid_t watchdog;
    int watchdog_pipe;
    char *conninfos[CONNINFOS];
    int conninfo_count;
} server;

static server the;

/* The newest installed server, unless PAWL_TEST_PGBIN names one. */
static bool
has_server_programs(void)
{
    const char *named = getenv("PAWL_TEST_PGBIN");
    glob_t found = {.gl_pathc = 0};
    int best = -1;

    if (named != NULL)
    {
        pawl_fmt(the.bin, sizeof the.bin, "%s", named);
        return true;
    }
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0)
    {
        for (size_t i = 0; i < found.gl_pathc; i++)
        {
            int version = (int) strtol(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);

            if (version > best)
            {
                best = version;
                pawl_fmt(the.bin, sizeof the.bin, "/usr/lib/postgresql/%d/bin", version);
            }
        }
    }
    globfree(&found);
    if (best < 0 && access("/usr/local/pgsql/bin/initdb", X_OK) == 0)
    {
        pawl_fmt(the.bin, sizeof the.bin, "/usr/local/pgsql/bin");
        best = 0;
    }
    return best >= 0;
}

static void
print_log_end(void)
{
    char text[4096];
    FILE *f = fopen(the.log, "r");
    size_t n;

    if (f == NULL)
        return;
    if (fseek(f, -(long) (sizeof text - 1), SEEK_END) != 0)
        rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    print_error("end of the server's log:\n%s\n", text);
    (void) fclose(f);
}

/* PostgreSQL refuses to run as root; setpriv becomes the program, so its pid is the server's. */
static int
prefix_user(const char **argv)
{
    int n = 0;

    if (the.os_user[0] == '\0')
        return 0;
    argv[n++] = "setpriv";
    argv[n++] = "--reuid";
    argv[n++] = the.os_user;
    argv[n++] = "--regid";
    argv[n++] = the.os_user;
    argv[n++] = "--clear-groups";
    return n;
}

static void
choose_user(void)
{
    static const char *const candidates[] = {"postgres", "nobody"};

    the.os_user[0] = '\0';
    if (geteuid() != 0)
        return;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
    {
        struct passwd *entry = getpwnam(candidates[i]);

        if (entry == NULL)
            continue;
        pawl_fmt(the.os_user, sizeof the.os_user, "%s", candidates[i]);
        if (chown(the.dir, entry->pw_uid, entry->pw_gid) != 0)
            fail_msg("cannot give %s to %s: %s", the.dir, candidates[i], strerror(errno));
        return;
    }
    fail_msg("run the tests as another user than root: there is neither a postgres nor a nobody");
}

static void
init_cluster(void)
{
    char initdb[300];
    const char *argv[24];
    int n = prefix_user(argv);

    pawl_fmt(initdb, sizeof initdb, "%s/initdb", the.bin);
    argv[n++] = initdb;
    argv[n++] = "-D";
    argv[n++] = the.data;
    argv[n++] = "-U";
    argv[n++] = SUPERUSER;
    argv[n++] = "-A";
    argv[n++] = "trust";
    argv[n++] = "-E";
    argv[n++] = "UTF8";
    argv[n++] = "--locale=C.UTF-8";
    argv[n++] = "-N";
    argv[n] = NULL;
    if (pawl_test_spawn_wait(argv, the.log) != 0)
    {
        print_log_end();
        fail_msg("initdb failed");
    }
}

static void
write_file(const char *name, const char *mode, const char *text)
{
    char path[160];
    FILE *f;

    pawl_fmt(path, sizeof path, "%s/%s", the.data, name);
    f = fopen(path, mode);
    if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0)
        fail_msg("cannot write %s: %s", path, strerror(errno));
}

static void
configure(const char *extra_conf)
{
    PAWL_STRBUF_AUTO(conf);

    pawl_strbuf_addf(&conf,
                     "listen_addresses = ''\n"
                     "unix_socket_directories = '%s'\n"
                     "port = %d\n"
                     "fsync = off\n"
                     "full_page_writes = off\n"
                     "shared_buffers = 64MB\n"
                     "max_connections = 100\n"
                     "max_prepared_transactions = 10\n"
                     "max_wal_size = 2GB\n"
                     "logging_collector = off\n"
                     "log_line_prefix = '%%m [%%p] %%a '\n"
                     "lc_messages = 'C'\n"
                     "timezone = 'UTC'\n",
                     the.dir, PORT);
    if (extra_conf != NULL)
        pawl_strbuf_addf(&conf, "%s\n", extra_conf);
    write_file("postgresql.conf", "a", conf.data);
    write_file("pg_hba.conf", "w",
               "local all " PAWL_TEST_PASSWORD_ROLE " scram-sha-256\n"
               "local all all trust\n"
               "local replication all trust\n"
               "host all all 127.0.0.1/32 trust\n"
               "host replication all 127.0.0.1/32 trust\n");
}

static void
wait_until_ready(void)
{
    int64_t deadline_us = pawl_clock_us() + INT64_C(1000) * START_MS;
    const char *conninfo = pawl_test_conninfo("postgres");

    while (PQping(conninfo) != PQPING_OK)
    {
        int status = 0;

        if (pawl_test_has_ended(the.postmaster, 0, &status) || pawl_clock_us() > deadline_us)
        {
            print_log_end();
            fail_msg("the server did not start");
        }
        pawl_test_sleep_ms(20);
    }
}

static void
spawn_postmaster(void)
{
    char postgres[300];
    const char *argv[12];
    int n = prefix_user(argv);

    pawl_fmt(postgres, sizeof postgres, "%s/postgres", the.bin);
    argv[n++] = postgres;
    argv[n++] = "-D";
    argv[n++] = the.data;
    argv[n] = NULL;
    the.postmaster = pawl_test_spawn(argv, the.log);
    if (the.postmaster < 0)
        fail_msg("cannot start the server: %s", strerror(errno));
}

static void
launch(void)
{
    spawn_postmaster();
    wait_until_ready();
}

static void
stop_postmaster(int signal_number)
{
    int status = 0;

    if (the.postmaster <= 0)
        return;
    (void) kill(the.postmaster, signal_number);
    if (!pawl_test_has_ended(the.postmaster, START_MS, &status))
    {
        (void) kill(the.postmaster, SIGKILL);
        (void) waitpid(the.postmaster, &status, 0);
    }
    the.postmaster = 0;
}

/* The process that a pid file of our directory names, whoever started it; 0 when it is not alive. */
static pid_t
read_pid(const char *name)
{
    char path[160];
    char line[32] = "";
    FILE *f;
    pid_t pid = 0;

    pawl_fmt(path, sizeof path, "%s/%s", the.dir, name);
    f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) != NULL)
        pid = (pid_t) strtol(line, NULL, 10);
    (void) fclose(f);
    return pid > 0 && kill(pid, 0) == 0 ? pid : 0;
}

static void
stop_pooler(void)
{
    pid_t pid = read_pid("pooler.pid");

    if (pid <= 0)
        return;
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
}

static void
stop_standby(void)
{
    pid_t pid = read_pid("standby/postmaster.pid");

    if (pid <= 0)
        return;
    (void) kill(pid, SIGQUIT);
    for (int i = 0; i < 250 && read_pid("standby/postmaster.pid") > 0; i++)
    {
        (void) waitpid(pid, NULL, WNOHANG);
        pawl_test_sleep_ms(20);
    }
}

/* Sleeps until the test closes its end of the pipe, by stopping the server or by dying, and cleans up. */
static void
watch(int pipe_fd)
{
    const char *const argv[] = {"rm", "-rf", the.dir, NULL};
    char byte;
    ssize_t got;
    pid_t pid;

    (void) setsid();
    do
    {
        got = read(pipe_fd, &byte, 1);
    } while (got > 0 || (got < 0 && errno == EINTR));

    stop_pooler();
    stop_standby();
    pid = read_pid("data/postmaster.pid");
    if (pid > 0)
        (void) kill(pid, SIGQUIT);
    for (int i = 0; i < 500 && read_pid("data/postmaster.pid") > 0; i++)
        pawl_test_sleep_ms(20);
    (void) pawl_test_spawn_wait(argv, "/dev/null");
    _exit(0);
}

static void
start_watchdog(void)
{
    int ends[2];
    int null_fd;

    if (pipe(ends) != 0)
        fail_msg("cannot create a pipe: %s", strerror(errno));
    (void) fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void) fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    the.watchdog = fork();
    if (the.watchdog < 0)
        fail_msg("cannot start the watchdog: %s", strerror(errno));
    if (the.watchdog == 0)
    {
        (void) close(ends[1]);
        /* Whoever reads the test's output must not wait for us. */
        null_fd = open("/dev/null", O_RDWR);
        (void) dup2(null_fd, 0);
        (void) dup2(null_fd, 1);
        (void) dup2(null_fd, 2);
        watch(ends[0]);
    }
    (void) close(ends[0]);
    the.watchdog_pipe = ends[1];
}

/* libpq reads them, and the server of the developer must not be touched. */
static void
forget_pg_environment(void)
{
    static const char *const names[] = {
        "PGHOST",
        "PGHOSTADDR",
        "PGPORT",
        "PGDATABASE",
        "PGUSER",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGSERVICE",
        "PGOPTIONS",
        "PGAPPNAME",
        "PGSSLMODE",
        "PGTZ",
        "PGDATESTYLE",
        "PGGEQO",
        "PGDATA",
        "PGSERVICEFILE",
        "PGCLIENTENCODING",
        "PGTARGETSESSIONATTRS",
        "PGCONNECT_TIMEOUT",
        "PGSYSCONFDIR",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void) unsetenv(names[i]);
}

void
pawl_test_server_start(const char *extra_conf)
{
    static bool is_registered = false;

    if (the.postmaster > 0)
        return;
    forget_pg_environment();
    if (!has_server_programs())
    {
        print_error("no PostgreSQL server is installed (PAWL_TEST_PGBIN can name its programs)\n");
        exit(getenv("CI") != NULL ? EXIT_FAILURE : SKIPPED);
    }
    pawl_fmt(the.dir, sizeof the.dir, "/tmp/pawl-pg.XXXXXX");
    if (mkdtemp(the.dir) == NULL)
        fail_msg("cannot create a directory in /tmp: %s", strerror(errno));
    pawl_fmt(the.data, sizeof the.data, "%s/data", the.dir);
    pawl_fmt(the.log, sizeof the.log, "%s/log", the.dir);
    start_watchdog();
    if (!is_registered)
        is_registered = atexit(pawl_test_server_stop) == 0;
    choose_user();
    init_cluster();
    configure(extra_conf);
    launch();
}

void
pawl_test_server_stop(void)
{
    int status = 0;

    if (the.watchdog <= 0)
        return;
    stop_pooler();
    stop_standby();
    stop_postmaster(SIGQUIT);
    (void) close(the.watchdog_pipe);
    (void) waitpid(the.watchdog, &status, 0);
    the.watchdog = 0;
    for (int i = 0; i < the.conninfo_count; i++)
        free(the.conninfos[i]);
    the.conninfo_count = 0;
}

void
pawl_test_server_restart(bool is_crash)
{
    stop_postmaster(is_crash ? SIGQUIT : SIGINT);
    launch();
}

/* Its sessions end by themselves, each when it next looks; until the last has, no new server starts. */
void
pawl_test_server_kill(void)
{
    int64_t deadline_us = pawl_clock_us() + INT64_C(1000) * START_MS;
    int status = 0;

    stop_postmaster(SIGKILL);
    for (;;)
    {
        spawn_postmaster();
        while (PQping(pawl_test_conninfo("postgres")) != PQPING_OK)
        {
            if (pawl_test_has_ended(the.postmaster, 20, &status))
                break;
            if (pawl_clock_us() > deadline_us)
                fail_msg("the server did not start again");
        }
        if (!pawl_test_has_ended(the.postmaster, 0, &status))
            return;
        if (pawl_clock_us() > deadline_us)
        {
            print_log_end();
            fail_msg("the server did not start again");
        }
        pawl_test_sleep_ms(50);
    }
}

void
pawl_test_server_kill_backend(const char *conninfo, PGconn *victim)
{
    int64_t deadline_us = pawl_clock_us() + INT64_C(1000) * START_MS;

    pawl_test_kill((pid_t) PQbackendPID(victim), SIGKILL);
    /* A ping before its end is seen may meet the server as it was. */
    while (PQconsumeInput(victim) == 1 || PQping(conninfo) != PQPING_OK)
    {
        if (pawl_clock_us() > deadline_us)
            fail_msg("the server did not recover");
        pawl_test_sleep_ms(5);
    }
}

int
pawl_test_setup(void **state)
{
    (void) state;
    pawl_test_server_start(NULL);
    return 0;
}

int
pawl_test_teardown(void **state)
{
    (void) state;
    pawl_test_server_stop();
    return 0;
}

const char *
pawl_test_socket_dir(void)
{
    return the.dir;
}

int
pawl_test_port(void)
{
    return PORT;
}

static const char *
keep_conninfo(const char *text)
{
    char *kept;

    for (int i = 0; i < the.conninfo_count; i++)
    {
        if (strcmp(the.conninfos[i], text) == 0)
            return the.conninfos[i];
    }
    kept = strdup(text);
    if (kept == NULL || the.conninfo_count == CONNINFOS)
        fail_msg("too many databases");
    the.conninfos[the.conninfo_count++] = kept;
    return kept;
}

static const char *
conninfo_at(int port, const char *database)
{
    char text[256];

    pawl_fmt(text, sizeof text, "host=%s port=%d dbname=%s user=%s", the.dir, port, database, SUPERUSER);
    return keep_conninfo(text);
}

const char *
pawl_test_conninfo(const char *database)
{
    return conninfo_at(PORT, database);
}

static void
start_pooler(void)
{
    PAWL_STRBUF_AUTO(conf);
    char path[160];
    const char *argv[12];
    int n = prefix_user(argv);

    pawl_strbuf_addf(&conf,
                     "[databases]\n"
                     "* = host=%s port=%d user=%s\n"
                     "[pgbouncer]\n"
                     "unix_socket_dir = %s\n"
                     "listen_addr =\n"
                     "listen_port = %d\n"
                     "auth_type = any\n"
                     "pool_mode = transaction\n"
                     "default_pool_size = 4\n"
                     "logfile = %s/pooler.log\n"
                     "pidfile = %s/pooler.pid\n",
                     the.dir, PORT, SUPERUSER, the.dir, POOLER_PORT, the.dir, the.dir);
    write_file("pooler.ini", "w", conf.data);
    pawl_fmt(path, sizeof path, "%s/pooler.ini", the.data);
    argv[n++] = POOLER;
    argv[n++] = "-q";
    argv[n++] = path;
    argv[n] = NULL;
    if (pawl_test_spawn(argv, the.log) < 0)
        fail_msg("cannot start the pooler: %s", strerror(errno));
    for (int i = 0; i < 500 && PQping(conninfo_at(POOLER_PORT, "postgres")) != PQPING_OK; i++)
        pawl_test_sleep_ms(20);
}

const char *
pawl_test_pooled_conninfo(const char *database)
{
    if (access(POOLER, X_OK) != 0)
        return NULL;
    if (read_pid("pooler.pid") == 0)
        start_pooler();
    return conninfo_at(POOLER_PORT, database);
}

/* A copy of the cluster that follows it over the socket, and reports once a second at least. */
static void
start_standby(void)
{
    char program[300];
    char source[200];
    char directory[96];
    const char *argv[16];
    int n = prefix_user(argv);

    pawl_fmt(program, sizeof program, "%s/pg_basebackup", the.bin);
    pawl_fmt(source, sizeof source, "host=%s port=%d user=%s application_name=follower", the.dir, PORT,
             SUPERUSER);
    pawl_fmt(directory, sizeof directory, "%s/standby", the.dir);
    argv[n++] = program;
    argv[n++] = "-d";
    argv[n++] = source;
    argv[n++] = "-D";
    argv[n++] = directory;
    argv[n++] = "-R";
    argv[n++] = "-N";
    argv[n++] = "--checkpoint=fast";
    argv[n] = NULL;
    if (pawl_test_spawn_wait(argv, the.log) != 0)
    {
        print_log_end();
        fail_msg("pg_basebackup failed");
    }
    write_file("../standby/postgresql.auto.conf", "a", "port = 5433\nwal_receiver_status_interval = 1s\n");

    n = prefix_user(argv);
    pawl_fmt(program, sizeof program, "%s/postgres", the.bin);
    argv[n++] = program;
    argv[n++] = "-D";
    argv[n++] = directory;
    argv[n] = NULL;
    if (pawl_test_spawn(argv, the.log) < 0)
        fail_msg("cannot start the standby: %s", strerror(errno));
    for (int i = 0; i < 1000 && PQping(conninfo_at(STANDBY_PORT, "postgres")) != PQPING_OK; i++)
        pawl_test_sleep_ms(20);
}

const char *
pawl_test_standby_conninfo(const char *database)
{
    if (read_pid("standby/postmaster.pid") == 0)
        start_standby();
    return conninfo_at(STANDBY_PORT, database);
}

PGconn *
pawl_test_connect(const char *conninfo)
{
    PGconn *conn = PQconnectdb(conninfo);

    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("cannot connect with \"%s\": %s", conninfo, PQerrorMessage(conn));
    return conn;
}

static PGresult *
run(PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);

    if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", PQresultErrorMessage(res), sql);
    return res;
}

static void
ignore_notice(void *arg, const PGresult *res)
{
    (void) arg;
    (void) res;
}

void
pawl_test_run_on(PGconn *conn, const char *sql)
{
    (void) PQsetNoticeReceiver(conn, ignore_notice, NULL);
    PQclear(run(conn, sql));
}

void
pawl_test_exec(const char *conninfo, const char *sql)
{
    PGconn *conn = pawl_test_connect(conninfo);

    pawl_test_run_on(conn, sql);
    PQfinish(conn);
}

char *
pawl_test_query_text(const char *conninfo, const char *sql)
{
    PGconn *conn = pawl_test_connect(conninfo);
    PGresult *res = run(conn, sql);
    char *text = strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");

    PQclear(res);
    PQfinish(conn);
    if (text == NULL)
        fail_msg("out of memory");
    return text;
}

void
pawl_test_assert_query(const char *conninfo, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(conninfo, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", sql, got, expected);
    free(got);
}

int64_t
pawl_test_query_i64(const char *conninfo, const char *sql)
{
    char *text = pawl_test_query_text(conninfo, sql);
    int64_t value = strtoll(text, NULL, 10);

    free(text);
    return value;
}

void
pawl_test_wait_until(const char *conninfo, const char *sql, int timeout_ms)
{
    int64_t deadline_us = pawl_clock_us() + (int64_t) timeout_ms * 1000;
    PGconn *conn = pawl_test_connect(conninfo);
    bool is_true = false;

    while (!is_true)
    {
        PGresult *res = run(conn, sql);

        is_true = PQntuples(res) > 0 && strcmp(PQgetvalue(res, 0, 0), "t") == 0;
        PQclear(res);
        if (!is_true && pawl_clock_us() > deadline_us)
            fail_msg("not true within %d ms: %s", timeout_ms, sql);
        if (!is_true)
            pawl_test_sleep_ms(20);
    }
    PQfinish(conn);
}

const char *
pawl_test_database_new(const char *name)
{
    const char *admin = pawl_test_conninfo("postgres");
    PGconn *conn = pawl_test_connect(admin);
    char sql[256];

    pawl_fmt(sql, sizeof sql, "DROP DATABASE IF EXISTS \"%s\" WITH (FORCE)", name);
    pawl_test_run_on(conn, sql);
    pawl_fmt(sql, sizeof sql, "CREATE DATABASE \"%s\"", name);
    pawl_test_run_on(conn, sql);
    PQfinish(conn);
    return pawl_test_conninfo(name);
}
