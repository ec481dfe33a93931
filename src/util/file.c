#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* Everything from `fd` to the end into `text`; 0 or an errno value. */
static int
read_all(int fd, size_t limit, pawl_strbuf *text)
{
    char piece[16 * 1024];

    for (;;)
    {
        ssize_t got = read(fd, piece, sizeof piece);

        if (got == 0)
            return pawl_strbuf_is_ok(text) ? 0 : ENOMEM;
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0 && (size_t) got > limit - text->length)
            return EFBIG;
        if (got > 0)
            pawl_strbuf_addn(text, piece, (size_t) got);
    }
}

int
pawl_file_read(const char *path, size_t limit, char **out, size_t *length)
{
    PAWL_STRBUF_AUTO(text);
    struct stat info;
    size_t used;
    char *taken;
    int rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno;

    if (fstat(fd, &info) != 0)
        rc = errno;
    else if (S_ISDIR(info.st_mode))
        rc = EISDIR;
    else
        rc = read_all(fd, limit, &text);
    (void) close(fd);
    if (rc != 0)
        return rc;

    used = text.length;
    taken = pawl_strbuf_take(&text);
    if (taken == NULL)
        return ENOMEM;

    *out = taken;
    *length = used;
    return 0;
}

static int
write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0)
    {
        ssize_t written = write(fd, text, left);

        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0)
        {
            text += written;
            left -= (size_t) written;
        }
    }
    return 0;
}

int
pawl_file_create(const char *path, const char *text)
{
    int rc;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return errno;

    rc = write_all(fd, text);
    /* Some file systems report a full disk only here. */
    if (close(fd) != 0 && rc == 0)
        rc = errno;
    if (rc != 0)
        (void) unlink(path);
    return rc;
}

static int
make_dir(const char *path)
{
    struct stat info;

    if (mkdir(path, 0777) == 0)
        return 0;
    if (errno != EEXIST)
        return errno;
    if (stat(path, &info) != 0)
        return errno;

    return S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
}

int
pawl_file_mkdirs(const char *path)
{
    PAWL_AUTO(pawl_str) copy = pawl_strdup(path);

    if (copy == NULL)
        return ENOMEM;

    for (char *c = copy; *c != '\0'; c++)
    {
        int rc;

        if (*c != '/' || c == copy)
            continue;
        *c = '\0';
        rc = make_dir(copy);
        *c = '/';
        if (rc != 0)
            return rc;
    }
    return make_dir(copy);
}

bool
pawl_file_has(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

char *
pawl_file_join(const char *dir, const char *name)
{
    PAWL_STRBUF_AUTO(path);
    size_t length = strlen(dir);

    if (name[0] == '/' || length == 0 || (length == 1 && dir[0] == '.'))
        return pawl_strdup(name);

    pawl_strbuf_add(&path, dir);
    if (dir[length - 1] != '/')
        pawl_strbuf_addc(&path, '/');
    pawl_strbuf_add(&path, name);
    return pawl_strbuf_take(&path);
}

void
pawl_file_strerror(int errnum, char *out, size_t size)
{
    if (strerror_r(errnum, out, size) != 0)
        pawl_fmt(out, size, "error %d", errnum);
}
