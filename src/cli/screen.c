#include "cli/screen.h"

#include <sys/ioctl.h>

#define CLEAR "\r\033[K"

void
pawl_cli_screen_init(pawl_cli_screen *screen, FILE *stream, bool has_live)
{
    *screen = (pawl_cli_screen){.stream = stream, .has_live = has_live};
    /* With the default attributes this cannot fail. */
    (void) pthread_mutex_init(&screen->lock, NULL);
}

void
pawl_cli_screen_fini(pawl_cli_screen *screen)
{
    pawl_cli_screen_live(screen, "");
    pawl_cli_buf_free(&screen->live);
    (void) pthread_mutex_destroy(&screen->lock);
}

/* One call a change, so that no half of it is ever seen. What cannot be written to standard error is lost. */
static void
put(const pawl_cli_screen *screen, const pawl_cli_buf *text)
{
    (void) fputs(pawl_cli_buf_text(text), screen->stream);
    (void) fflush(screen->stream);
}

void
pawl_cli_screen_line(pawl_cli_screen *screen, const char *text)
{
    PAWL_CLI_BUF all = {0};

    (void) pthread_mutex_lock(&screen->lock);
    if (screen->is_drawn)
        pawl_cli_add(&all, CLEAR);
    pawl_cli_addf(&all, "%s\n", text);
    if (screen->is_drawn)
        pawl_cli_add(&all, pawl_cli_buf_text(&screen->live));
    put(screen, &all);
    (void) pthread_mutex_unlock(&screen->lock);
}

void
pawl_cli_screen_live(pawl_cli_screen *screen, const char *text)
{
    PAWL_CLI_BUF all = {0};

    if (!screen->has_live)
        return;

    (void) pthread_mutex_lock(&screen->lock);
    if (text[0] != '\0' || screen->is_drawn)
    {
        pawl_cli_buf_reset(&screen->live);
        pawl_cli_add(&screen->live, text);
        pawl_cli_addf(&all, "%s%s", CLEAR, text);
        put(screen, &all);
    }
    screen->is_drawn = text[0] != '\0';
    (void) pthread_mutex_unlock(&screen->lock);
}

size_t
pawl_cli_columns(FILE *stream)
{
    struct winsize size = {0};

    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == -1 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}

size_t
pawl_cli_rows(FILE *stream)
{
    struct winsize size = {0};

    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == -1 || size.ws_row < 2)
        return 24;
    return size.ws_row;
}
