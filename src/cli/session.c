#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/fail.h"
#include "cli/help.h"
#include "cli/json.h"
#include "cli/report.h"

static pawl_status
open_project(pawl_cli *cli, bool heads_only, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    pawl_project_options options = {
        .config = line->config,
        .environment = line->environment,
        .overrides = line->overrides,
        .noverrides = line->noverrides,
        .x = line->x,
        .nx = line->nx,
        .heads_only = heads_only,
    };

    return pawl_project_open(&options, &cli->project, err);
}

pawl_status
pawl_cli_open(pawl_cli *cli, pawl_error *err)
{
    return open_project(cli, false, err);
}

pawl_status
pawl_cli_open_heads(pawl_cli *cli, pawl_error *err)
{
    return open_project(cli, true, err);
}

pawl_run_options
pawl_cli_run_options(pawl_cli *cli)
{
    return (pawl_run_options){.stop = cli->stop, .sink = pawl_cli_render_sink(&cli->render)};
}

/*
 * A file descriptor below 3 that is closed would be taken by the next file or socket, and what is printed would go
 * there. Something that can be neither read nor written takes its place, so that the output is seen to fail.
 */
static void
fill_standard_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++)
    {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            (void) open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    }
}

/* ---- the result ------------------------------------------------------------------------------------------------ */

static bool
has_problems(const pawl_cli *cli, pawl_status st)
{
    return st == PAWL_E_INPUT && cli->project != NULL && pawl_project_problems(cli->project) > 0;
}

/* The last object of a stream: how it ended. */
static void
put_end(const pawl_cli *cli, pawl_status st, const pawl_error *err)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "end");
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "status", pawl_status_name(st));
    pawl_cli_put_int(&o, "exit_code", pawl_cli_exit_code(st));
    pawl_cli_put_int(&o, "elapsed_ms", pawl_cli_now_ms() - cli->begin_ms);
    pawl_cli_put_int(&o, "revisions", cli->render.revisions);
    if (st != PAWL_OK)
        pawl_cli_put(&o, "error", pawl_cli_json_error(err));
    if (has_problems(cli, st))
        pawl_cli_put(&o, "problems", pawl_cli_json_problems(cli->project));
    pawl_cli_record(cli->out, pawl_cli_object_end(&o));
}

/* On one line, so that it also ends what --watch prints. */
static void
put_failure(const pawl_cli *cli, pawl_status st, const pawl_error *err)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put(&o, "error", pawl_cli_json_error(err));
    if (has_problems(cli, st))
        pawl_cli_put(&o, "problems", pawl_cli_json_problems(cli->project));
    pawl_cli_record(cli->out, pawl_cli_object_end(&o));
}

/* Tell how it went, once. `err` says nothing when `st` is PAWL_OK. */
static void
tell(pawl_cli *cli, pawl_status st, const pawl_error *err)
{
    const pawl_cli_verb *verb = cli->line->verb;
    bool is_stream = verb != NULL && verb->is_stream && !cli->line->is_help && !cli->line->is_version;

    if (cli->out->is_json && is_stream)
        put_end(cli, st, err);
    else if (cli->out->is_json && st == PAWL_E_FINDINGS)
        return; /* they are the document that was printed */
    else if (cli->out->is_json && st != PAWL_OK)
        put_failure(cli, st, err);
    else if (st != PAWL_OK)
        pawl_cli_report(cli->out, cli->project, err);
}

/* ---- the run --------------------------------------------------------------------------------------------------- */

static pawl_status
run_stoppable(pawl_cli *cli, const pawl_cli_verb *verb, pawl_error *err)
{
    pawl_status st = pawl_stop_new(&cli->stop, err);

    if (st != PAWL_OK)
        return st;

    cli->signals.stop = cli->stop;
    cli->signals.screen = cli->out->is_quiet ? NULL : &cli->out->screen;
    cli->signals.stopping = verb->stopping;
    st = pawl_cli_signals_start(&cli->signals, err);
    if (st == PAWL_OK)
    {
        st = verb->run(cli, err);
        pawl_cli_signals_end(&cli->signals);
    }
    pawl_stop_free(cli->stop);
    cli->stop = NULL;
    return st;
}

static pawl_status
run(pawl_cli *cli, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    const pawl_cli_verb *verb = line->verb;

    if (line->is_version)
    {
        pawl_cli_print_version(cli->out);
        return PAWL_OK;
    }
    if (line->is_help)
    {
        pawl_cli_print_help(cli->out, verb);
        return PAWL_OK;
    }
    if (verb == NULL)
    {
        PAWL_CLI_BUF text = {0};

        pawl_cli_describe_overview(&text, cli->out->has_message_color, pawl_cli_columns(stderr));
        if (!cli->out->is_json)
            pawl_cli_screen_line(&cli->out->screen, pawl_cli_buf_text(&text));
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "no verb was given");
        return pawl_cli_hint(err, "`pawl --help` lists the verbs");
    }
    return verb->stopping == PAWL_CLI_STOP_DIES ? verb->run(cli, err) : run_stoppable(cli, verb, err);
}

int
pawl_cli_main(int argc, char **argv)
{
    pawl_cli_line line;
    pawl_cli_out out;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_error late = PAWL_ERROR_INIT;
    pawl_cli cli = {.line = &line, .out = &out, .begin_ms = pawl_cli_now_ms()};
    pawl_status st;
    int code;

    fill_standard_descriptors();
    pawl_cli_signals_ignore_pipe();
    st = pawl_cli_parse(argc, argv, &line, &err);
    pawl_cli_out_init(&out, &line);
    pawl_cli_render_init(&cli.render, &out);
    if (st == PAWL_OK)
        st = run(&cli, &err);
    pawl_cli_render_end(&cli.render);
    tell(&cli, st, &err);
    code = pawl_cli_exit_code(st);

    pawl_project_close(cli.project);
    if (pawl_cli_out_close(&out, &late) != PAWL_OK)
    {
        PAWL_CLI_BUF text = {0};

        pawl_cli_describe_error(&text, &late, out.has_message_color);
        (void) fprintf(stderr, "%s\n", pawl_cli_buf_text(&text));
        code = code == 0 ? pawl_cli_exit_code(late.code) : code;
    }
    pawl_cli_line_free(&line);
    return code;
}
