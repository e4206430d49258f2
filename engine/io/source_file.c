/* The file source: a file's lines as they are appended, or once to its end.
 *
 *   path ──► file 1 ─ read … read ─┬ renamed away, another there ─► its rest, then that one
 *                                  └ cut to nothing ─► from its beginning again
 *
 * It polls: where nothing is new it looks at the name every file.poll.interval.ms. Position: bytes
 * of the present file, its inode. A file that was renamed while nobody read is looked for in its
 * folder by that, and read to its end before the one that has its name now.
 */
#include "efx_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct conf {
    const char *path, *start;
    int64_t poll_ms, skip_lines;
    bool require_exists, follow;
};

static const struct efx_conf_key options[] = {
    {.name = "file.path",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, path),
     .help = "the file; one line is one event"},
    {.name = "file.start.position",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, start),
     .otherwise = "beginning",
     .values = "beginning|end",
     .help = "where reading begins; a restored position takes precedence"},
    {.name = "file.poll.interval.ms",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, poll_ms),
     .otherwise = "500",
     .min = 1,
     .help = "milliseconds between looks at a file without news"},
    {.name = "file.skip.lines",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, skip_lines),
     .otherwise = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "lines left out at a file's beginning"},
    {.name = "file.require.exists",
     .kind = EFX_CONF_BOOL,
     .off = offsetof(struct conf, require_exists),
     .otherwise = "false",
     .help = "a missing file is an error at the start, else it is waited for"},
    {.name = "file.follow",
     .kind = EFX_CONF_BOOL,
     .off = offsetof(struct conf, follow),
     .otherwise = "true",
     .help = "false: bounded input, ends at the end of the file"},
    {0},
};

struct file_source {
    struct efx_source base;
    const struct conf *conf;
    int fd; /* -1: the file is not there yet */
    dev_t dev;
    ino_t ino;
    uint64_t at_bytes;
    int64_t skip; /* lines to leave out now */
    bool seen;    /* the first file was opened */
    bool begins;  /* nothing of the present file was read */
};

static bool open_as(struct file_source *s, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return false;
    }
    bool from_end = !s->seen && s->conf->start[0] == 'e';
    s->fd = fd;
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    s->at_bytes = from_end ? (uint64_t)lseek(fd, 0, SEEK_END) : 0;
    s->skip = s->at_bytes == 0 ? s->conf->skip_lines : 0;
    s->begins = true;
    s->seen = true;
    s->base.at[0] = s->at_bytes;
    s->base.at[1] = (uint64_t)st.st_ino;
    return true;
}

static bool open_path(struct file_source *s)
{
    return open_as(s, s->conf->path);
}

static enum efx_rc open_file(struct efx_source *self, const struct efx_source_open *how,
                             struct efx_err *err)
{
    struct file_source *s = (struct file_source *)self;
    s->conf = how->conf;
    s->fd = -1;
    self->rewinds = true;
    if (!open_path(s) && (s->conf->require_exists || !s->conf->follow || errno != ENOENT)) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "cannot read %s: %s", s->conf->path,
                        strerror(errno));
    }
    return EFX_OK;
}

/* Is what stands under the name no longer what is open? */
static bool is_replaced(const struct file_source *s)
{
    struct stat st;
    return stat(s->conf->path, &st) == 0 && (st.st_dev != s->dev || st.st_ino != s->ino);
}

static bool is_cut(const struct file_source *s)
{
    struct stat st;
    return fstat(s->fd, &st) == 0 && (uint64_t)st.st_size < s->at_bytes;
}

static void close_file(struct efx_source *self)
{
    struct file_source *s = (struct file_source *)self;
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    s->fd = -1;
}

/* Leaves out lines of what was just read at p; what stays is moved down. */
static size_t skip_lines(struct file_source *s, uint8_t *p, size_t n)
{
    size_t at = 0;
    while (s->skip > 0 && at < n) {
        const uint8_t *end = memchr(p + at, '\n', n - at);
        at = end == NULL ? n : (size_t)(end - p) + 1;
        s->skip -= end != NULL;
    }
    memmove(p, p + at, n - at);
    return n - at;
}

static enum efx_rc at_end(struct file_source *s, struct efx_chunk *out)
{
    if (!s->conf->follow) {
        out->ends = true;
        return EFX_DONE;
    }
    s->base.wait_ns = (uint64_t)s->conf->poll_ms * 1000000;
    if (is_cut(s)) {
        out->n_bytes = 0; /* the rest of a line that is gone */
        s->at_bytes = s->base.at[0] = 0;
        s->skip = s->conf->skip_lines;
        s->begins = true;
        (void)lseek(s->fd, 0, SEEK_SET);
        s->base.wait_ns = 0;
    } else if (is_replaced(s)) {
        out->ends = out->n_bytes > 0;
        close_file(&s->base);
        s->base.wait_ns = 0;
        return out->ends ? EFX_OK : EFX_AGAIN;
    }
    return EFX_AGAIN;
}

static enum efx_rc read_file(struct efx_source *self, struct efx_chunk *out)
{
    struct file_source *s = (struct file_source *)self;
    out->ends = false;
    out->begins = false;
    if (s->fd < 0 && !open_path(s)) {
        self->wait_ns = (uint64_t)s->conf->poll_ms * 1000000;
        return EFX_AGAIN;
    }
    ssize_t n = read(s->fd, out->bytes + out->n_bytes, out->max_bytes - out->n_bytes);
    if (n < 0) {
        return errno == EINTR ? EFX_AGAIN : EFX_EIO;
    }
    if (n == 0) {
        return at_end(s, out);
    }
    out->begins = s->begins;
    s->begins = false;
    s->at_bytes += (uint64_t)n;
    self->at[0] = s->at_bytes;
    out->n_bytes += skip_lines(s, out->bytes + out->n_bytes, (size_t)n);
    return EFX_OK;
}

/* The file of this inode in the folder; false: it is not there any more. */
static bool open_renamed(struct file_source *s, ino_t ino)
{
    char folder[4096], path[4096 + 256 + 2];
    const char *slash = strrchr(s->conf->path, '/');
    int n = slash == NULL ? 1 : (int)(slash - s->conf->path) + 1;
    (void)snprintf(folder, sizeof folder, "%.*s", n, slash == NULL ? "." : s->conf->path);
    DIR *d = opendir(folder);
    bool found = false;
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;) {
        if (e->d_ino == ino) {
            (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            found = open_as(s, path);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return found;
}

static enum efx_rc seek(struct efx_source *self, const struct efx_pos *pos, uint32_t n,
                        struct efx_err *err)
{
    struct file_source *s = (struct file_source *)self;
    if (n == 0) {
        return EFX_OK;
    }
    if (pos[0].next[1] != 0 && (s->fd < 0 || (uint64_t)s->ino != pos[0].next[1])) {
        int now = s->fd;
        if (open_renamed(s, (ino_t)pos[0].next[1]) && now >= 0) {
            (void)close(now);
        }
    }
    if (s->fd < 0 && !open_path(s)) {
        return EFX_OK;
    }
    if (lseek(s->fd, (off_t)pos[0].next[0], SEEK_SET) < 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot seek in %s: %s", s->conf->path,
                        strerror(errno));
    }
    s->at_bytes = self->at[0] = pos[0].next[0];
    s->begins = s->at_bytes == 0;
    s->skip = s->begins ? s->conf->skip_lines : 0;
    return EFX_OK;
}

const struct efx_source_vt efx_file_source_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_source_vt),
             .name = "file",
             .help = "lines of a file; appends, rotation and truncation are followed",
             .conf = options,
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct file_source)},
    .stream = true,
    .open = open_file,
    .read = read_file,
    .seek = seek,
    .close = close_file,
};
