/* The file sink: a message a line, at least once; full or old files are put aside. Exactly once it
 * is a folder of parts, file_parts.h.
 *
 *   out.ndjson ── file.rotate.* ──► out.ndjson.1, out.ndjson.2 … (.zst)
 *        └ new events
 *
 * With flush interval 0 everything that one write brought is in the file when it returns.
 */
#include "efx_io.h"
#include "efx_out.h"
#include "file_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

struct conf {
    const char *path, *compression;
    bool append;
    int64_t flush_ms, rotate_bytes, rotate_ms;
};

static const struct efx_conf_key options[] = {
    {.name = "file.path",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, path),
     .help = "the file; one line is one event"},
    {.name = "file.append",
     .kind = EFX_CONF_BOOL,
     .off = offsetof(struct conf, append),
     .otherwise = "true",
     .help = "false: what was there is thrown away at the start"},
    {.name = "file.flush.interval.ms",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, flush_ms),
     .otherwise = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "milliseconds that an event may wait in memory; 0: flushed after every event"},
    {.name = "file.rotate.size.bytes",
     .kind = EFX_CONF_BYTES,
     .off = offsetof(struct conf, rotate_bytes),
     .otherwise = "0",
     .help = "a file of this size is put aside; 0: never"},
    {.name = "file.rotate.interval.ms",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, rotate_ms),
     .otherwise = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "a file of this age is put aside; 0: never"},
    {.name = "file.rotate.compression",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, compression),
     .otherwise = "none",
     .values = "none|zstd",
     .help = "of files that are put aside"},
    {0},
};

struct file_sink {
    struct efx_sink base;
    const struct conf *conf;
    const struct efx_format *format;
    uint16_t stream;
    struct efx_out out;
    uint64_t size_bytes; /* of the file when it was opened */
    uint64_t opened_ns, flushed_ns;
    uint32_t next_no; /* of the next file put aside */
    bool exactly_once;
    struct file_parts parts; /* exactly once: all there is */
};

static uint64_t now_ns(const struct file_sink *s)
{
    return s->base.world->clock->monotonic_ns(s->base.world);
}

static enum efx_rc cannot(const struct file_sink *s, const char *what, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot %s %s: %s", what, s->conf->path,
                    strerror(errno));
}

static enum efx_rc open_path(struct file_sink *s, bool append, struct efx_err *err)
{
    struct stat st;
    int fd =
        open(s->conf->path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return cannot(s, "write", err);
    }
    s->out.fd = fd;
    s->size_bytes = (uint64_t)st.st_size;
    s->out.n_written = 0;
    s->opened_ns = now_ns(s);
    return s->size_bytes == 0 ? efx_out_head(&s->out, s->format, s->stream, err) : EFX_OK;
}

static enum efx_rc open_file(struct efx_sink *self, const struct efx_sink_open *how,
                             struct efx_err *err)
{
    struct file_sink *s = (struct file_sink *)self;
    s->conf = how->conf;
    s->format = how->format;
    s->stream = how->stream;
    s->next_no = 1;
    s->exactly_once = how->exactly_once;
    if (s->exactly_once) {
        efx_out_init(&s->out, -1);
        if (s->conf->rotate_bytes > 0 || s->conf->rotate_ms > 0 || !s->conf->append ||
            s->conf->compression[0] == 'z') {
            return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1107,
                            "'file.rotate.*' and 'file.append' = 'false' do not go with 'delivery' "
                            "= 'exactly-once': every checkpoint begins a file");
        }
        return efx_parts__open(&s->parts, how, s->conf->path, err);
    }
    if (s->conf->compression[0] == 'z' && s->conf->rotate_bytes == 0 && s->conf->rotate_ms == 0) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1107,
                        "'file.rotate.compression' needs a size or an interval");
    }
    efx_out_init(&s->out, -1);
    s->flushed_ns = now_ns(s);
    return open_path(s, s->conf->append, err);
}

/* ---- putting aside ---- */

static enum efx_rc copy_compressed(int from, int to, ZSTD_CCtx *z)
{
    static _Thread_local uint8_t in[64 * 1024], out[64 * 1024];
    for (;;) {
        ssize_t n = read(from, in, sizeof in);
        if (n < 0) {
            return EFX_EIO;
        }
        ZSTD_inBuffer src = {in, (size_t)n, 0};
        size_t left = 1;
        while (n == 0 ? left > 0 : src.pos < src.size) {
            ZSTD_outBuffer dst = {out, sizeof out, 0};
            left = ZSTD_compressStream2(z, &dst, &src, n == 0 ? ZSTD_e_end : ZSTD_e_continue);
            if (ZSTD_isError(left) || write(to, out, dst.pos) != (ssize_t)dst.pos) {
                return EFX_EIO;
            }
        }
        if (n == 0) {
            return EFX_OK;
        }
    }
}

static enum efx_rc compress_file(const char *path)
{
    char to_path[4096];
    (void)snprintf(to_path, sizeof to_path, "%s.zst", path);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    enum efx_rc rc = from < 0 || to < 0 || z == NULL ? EFX_EIO : copy_compressed(from, to, z);
    (void)ZSTD_freeCCtx(z);
    if (from >= 0) {
        (void)close(from);
    }
    if (to >= 0 && close(to) != 0) {
        rc = EFX_EIO;
    }
    return rc == EFX_OK && unlink(path) != 0 ? EFX_EIO : rc;
}

static bool is_there(const char *path, const char *ending)
{
    char name[4096];
    struct stat st;
    (void)snprintf(name, sizeof name, "%s%s", path, ending);
    return stat(name, &st) == 0;
}

static enum efx_rc rotate(struct file_sink *s, struct efx_err *err)
{
    char aside[4000];
    EFX_RET(efx_out_flush(&s->out, err));
    (void)close(s->out.fd);
    s->out.fd = -1;
    do {
        int n = snprintf(aside, sizeof aside, "%s.%u", s->conf->path, s->next_no++);
        if (n >= (int)sizeof aside) {
            return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "'file.path' is too long");
        }
    } while (is_there(aside, "") || is_there(aside, ".zst"));
    if (rename(s->conf->path, aside) != 0 ||
        (s->conf->compression[0] == 'z' && compress_file(aside) != EFX_OK)) {
        return cannot(s, "put aside", err);
    }
    return open_path(s, false, err);
}

static bool is_due(const struct file_sink *s)
{
    uint64_t bytes = s->size_bytes + s->out.n_written + s->out.w.n;
    return bytes > 0 && ((s->conf->rotate_bytes > 0 && bytes >= (uint64_t)s->conf->rotate_bytes) ||
                         (s->conf->rotate_ms > 0 &&
                          now_ns(s) - s->opened_ns >= (uint64_t)s->conf->rotate_ms * 1000000));
}

/* ---- rows ---- */

static enum efx_rc flush(struct efx_sink *self, struct efx_err *err)
{
    struct file_sink *s = (struct file_sink *)self;
    if (s->exactly_once) {
        return EFX_OK; /* nobody sees it before its checkpoint */
    }
    s->flushed_ns = now_ns(s);
    return efx_out_flush(&s->out, err);
}

/* With rotation by size rows go one at a time, so that a file is not a batch too long. */
static enum efx_rc write_rows(struct file_sink *s, struct efx_rows *rows, struct efx_err *err)
{
    uint64_t n = 0;
    while (rows->from < rows->until) {
        bool single = s->conf->rotate_bytes > 0;
        struct efx_rows part = {rows->b, rows->from, single ? rows->from + 1 : rows->until};
        if (is_due(s)) {
            EFX_RET(rotate(s, err));
        }
        EFX_RET(efx_out_rows(&s->out, s->format, s->stream, &part, &n, err));
        rows->from = part.until;
    }
    return EFX_OK;
}

static enum efx_rc write_file(struct efx_sink *self, struct efx_rows *rows, struct efx_err *err)
{
    struct file_sink *s = (struct file_sink *)self;
    if (s->exactly_once) {
        return efx_parts__write(&s->parts, rows, err);
    }
    EFX_RET(write_rows(s, rows, err));
    bool now = s->conf->flush_ms == 0 ||
               now_ns(s) - s->flushed_ns >= (uint64_t)s->conf->flush_ms * 1000000;
    return now ? flush(self, err) : EFX_OK;
}

/* ---- with the checkpoint ---- */

static enum efx_rc prepare(struct efx_sink *self, uint64_t no, struct efx_writer *receipt,
                           struct efx_err *err)
{
    struct file_sink *s = (struct file_sink *)self;
    return s->exactly_once ? efx_parts__prepare(&s->parts, no, receipt, err) : flush(self, err);
}

static enum efx_rc commit(struct efx_sink *self, uint64_t no, struct efx_bytes receipt,
                          struct efx_err *err)
{
    return efx_parts__commit(&((struct file_sink *)self)->parts, no, receipt, err);
}

static enum efx_rc abort_parts(struct efx_sink *self, uint64_t start, struct efx_err *err)
{
    return efx_parts__abort(&((struct file_sink *)self)->parts, start, err);
}

static enum efx_rc undo(struct efx_sink *self, uint64_t first, uint64_t last, struct efx_err *err)
{
    return efx_parts__undo(&((struct file_sink *)self)->parts, first, last, err);
}

static void close_file(struct efx_sink *self)
{
    struct file_sink *s = (struct file_sink *)self;
    if (s->exactly_once) {
        efx_parts__close(&s->parts);
        efx_out_fini(&s->out);
        return;
    }
    if (s->out.fd >= 0) {
        (void)efx_out_flush(&s->out, NULL);
        (void)close(s->out.fd);
    }
    efx_out_fini(&s->out);
}

const struct efx_sink_vt efx_file_sink_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_sink_vt),
             .name = "file",
             .help = "a file, one line an event",
             .conf = options,
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct file_sink)},
    .takes_format = true,
    .open = open_file,
    .write = write_file,
    .flush = flush,
    .prepare = prepare,
    .commit = commit,
    .abort = abort_parts,
    .undo = undo,
    .close = close_file,
};
