/* Staging, renaming, and taking back. */
#include "file_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, DIGITS = 20, COPY_BYTES = 64 * 1024 };

static enum efx_rc cannot(const char *what, const char *path, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot %s %.160s: %s", what, path,
                    strerror(errno));
}

static void staged_path(const struct file_parts *p, const struct file_part *f, char *out)
{
    (void)snprintf(out, PATH_BYTES, "%s/.%020llu-%llu-%u.tmp", p->folder, (unsigned long long)f->no,
                   (unsigned long long)f->epoch, p->part);
}

static void final_path(const struct file_parts *p, const struct file_part *f, char *out)
{
    (void)snprintf(out, PATH_BYTES, "%s/%020llu-%u.%s", p->folder, (unsigned long long)f->no,
                   p->part, p->ext);
}

static enum efx_rc sync_folder(const struct file_parts *p, struct efx_err *err)
{
    int fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    enum efx_rc rc = ok ? EFX_OK : cannot("sync", p->folder, err);
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* ---- writing ---- */

static const char *ending(const struct efx_format *f)
{
    const char *name = f->vt->base.name;
    return strcmp(name, "json") == 0 ? "ndjson" : strcmp(name, "text") == 0 ? "txt" : name;
}

enum efx_rc efx_parts__open(struct file_parts *p, const struct efx_sink_open *how,
                            const char *folder, struct efx_err *err)
{
    struct stat st;
    *p = (struct file_parts){.folder = folder,
                             .ext = ending(how->format),
                             .format = how->format,
                             .stream = how->stream,
                             .part = how->part,
                             .epoch = how->epoch,
                             .next_no = how->start + 1};
    efx_out_init(&p->out, -1);
    if (strlen(folder) > PATH_BYTES - 128) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "'file.path' is too long");
    }
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return cannot("make", folder, err);
    }
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 1107,
                        "with 'delivery' = 'exactly-once' 'file.path' is a folder, %.120s is none",
                        folder);
    }
    return EFX_OK;
}

static enum efx_rc begin_file(struct file_parts *p, struct efx_err *err)
{
    struct file_part f = {.no = p->next_no, .epoch = p->epoch};
    char path[PATH_BYTES];
    staged_path(p, &f, path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return cannot("write", path, err);
    }
    p->out.fd = fd;
    p->out.n_written = 0;
    p->open = true;
    EFX_RET(efx_out_head(&p->out, p->format, p->stream, err));
    p->head_bytes = (off_t)(p->out.n_written + p->out.w.n);
    return EFX_OK;
}

enum efx_rc efx_parts__write(struct file_parts *p, struct efx_rows *rows, struct efx_err *err)
{
    uint64_t n = 0;
    if (efx_rows_count(rows) == 0) {
        return EFX_OK;
    }
    if (!p->open) {
        EFX_RET(begin_file(p, err));
    }
    EFX_RET(efx_out_rows(&p->out, p->format, p->stream, rows, &n, err));
    rows->from = rows->until;
    return EFX_OK;
}

/* ---- prepare ---- */

/* Rows from now on are of the next checkpoint. */
static enum efx_rc cut(struct file_parts *p, uint64_t no, struct efx_err *err)
{
    if (p->open) {
        EFX_RET(efx_out_flush(&p->out, err));
        p->waiting[p->n_waiting++] = (struct file_part){
            .no = p->next_no, .epoch = p->epoch, .bytes = p->out.n_written, .fd = p->out.fd};
        p->out.fd = -1;
        p->open = false;
    }
    p->next_no = no + 1;
    p->cut_no = no;
    return EFX_OK;
}

static enum efx_rc append(int to, int from, off_t at)
{
    static _Thread_local uint8_t buf[COPY_BYTES];
    for (;;) {
        ssize_t n = pread(from, buf, sizeof buf, at);
        if (n <= 0) {
            return n == 0 ? EFX_OK : EFX_EIO;
        }
        if (write(to, buf, (size_t)n) != n) {
            return EFX_EIO;
        }
        at += n;
    }
}

/* Too many wait: the last goes behind the one before, without its header. */
static enum efx_rc put_together(struct file_parts *p, struct efx_err *err)
{
    struct file_part *last = &p->waiting[p->n_waiting - 1], *to = last - 1;
    char to_path[PATH_BYTES], path[PATH_BYTES];
    staged_path(p, to, to_path);
    staged_path(p, last, path);
    int fd = open(to_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)to->bytes) != 0 ||
        append(fd, last->fd, p->head_bytes) != EFX_OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return cannot("write", to_path, err);
    }
    to->bytes += last->bytes - (uint64_t)p->head_bytes;
    to->fd = fd;
    (void)close(last->fd);
    (void)unlink(path);
    p->n_waiting--;
    return EFX_OK;
}

enum efx_rc efx_parts__prepare(struct file_parts *p, uint64_t no, struct efx_writer *receipt,
                               struct efx_err *err)
{
    char path[PATH_BYTES];
    if (p->cut_no != no) {
        EFX_RET(cut(p, no, err));
        return EFX_AGAIN;
    }
    if (p->n_waiting > FILES_MAX && p->waiting[p->n_waiting - 1].fd >= 0) {
        EFX_RET(put_together(p, err));
    }
    for (uint32_t i = 0; i < p->n_waiting; i++) {
        struct file_part *f = &p->waiting[i];
        if (f->fd >= 0 && (fsync(f->fd) != 0 || close(f->fd) != 0)) {
            staged_path(p, f, path);
            return cannot("sync", path, err);
        }
        f->fd = -1;
        efx_put_u64(receipt, f->no);
        efx_put_u64(receipt, f->epoch);
        efx_put_u64(receipt, f->bytes);
    }
    if (receipt->full) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0,
                        "%u files of %.120s wait for a checkpoint", p->n_waiting, p->folder);
    }
    return p->n_waiting > 0 ? sync_folder(p, err) : EFX_OK;
}

/* ---- commit ---- */

static enum efx_rc show(const struct file_parts *p, const struct file_part *f, struct efx_err *err)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct stat st;
    staged_path(p, f, from);
    final_path(p, f, to);
    if (stat(from, &st) != 0) {
        if (errno == ENOENT && stat(to, &st) == 0) {
            return EFX_OK; /* it was done before */
        }
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0,
                        "%.160s, which a checkpoint names, is not there", to);
    }
    if ((uint64_t)st.st_size != f->bytes) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                        "%.140s has %lld bytes, its checkpoint says %llu", from,
                        (long long)st.st_size, (unsigned long long)f->bytes);
    }
    return rename(from, to) == 0 ? EFX_OK : cannot("rename", from, err);
}

enum efx_rc efx_parts__commit(struct file_parts *p, uint64_t no, struct efx_bytes receipt,
                              struct efx_err *err)
{
    struct efx_reader r = {receipt.p, receipt.n, false};
    (void)no;
    while (r.left > 0) {
        struct file_part f = {.no = efx_get_u64(&r), .fd = -1};
        f.epoch = efx_get_u64(&r);
        f.bytes = efx_get_u64(&r);
        if (r.bad) {
            return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "a receipt of %.160s is damaged",
                            p->folder);
        }
        EFX_RET(show(p, &f, err));
        for (uint32_t i = 0; i < p->n_waiting; i++) {
            if (p->waiting[i].no == f.no && p->waiting[i].epoch == f.epoch) {
                p->waiting[i] = p->waiting[--p->n_waiting];
                break;
            }
        }
    }
    return receipt.n > 0 ? sync_folder(p, err) : EFX_OK;
}

/* ---- what must not be seen ---- */

struct found { /* a name of ours */
    bool staged;
    uint64_t no, epoch;
    uint32_t part;
};

static bool number(const char **at, char end, uint64_t *out)
{
    char *stop;
    if (**at < '0' || **at > '9') {
        return false;
    }
    *out = strtoull(*at, &stop, 10);
    *at = stop + 1;
    return *stop == end;
}

static bool parse(const struct file_parts *p, const char *name, struct found *f)
{
    uint64_t part = 0;
    f->staged = name[0] == '.';
    const char *at = name + f->staged;
    if (!number(&at, '-', &f->no) || at - name != DIGITS + 1 + f->staged ||
        (f->staged && !number(&at, '-', &f->epoch)) || !number(&at, '.', &part)) {
        return false;
    }
    f->part = (uint32_t)part;
    return strcmp(at, f->staged ? "tmp" : p->ext) == 0;
}

typedef int (*found_fn)(const struct file_parts *p, const struct found *f, const char *path,
                        const uint64_t *arg);

static enum efx_rc each(const struct file_parts *p, found_fn fn, const uint64_t *arg,
                        struct efx_err *err)
{
    char path[PATH_BYTES + 256];
    DIR *d = opendir(p->folder);
    if (d == NULL) {
        return cannot("read", p->folder, err);
    }
    enum efx_rc rc = EFX_OK;
    for (struct dirent *e; rc == EFX_OK && (e = readdir(d)) != NULL;) {
        struct found f = {0};
        if (parse(p, e->d_name, &f)) {
            (void)snprintf(path, sizeof path, "%s/%s", p->folder, e->d_name);
            rc = fn(p, &f, path, arg) == 0 ? EFX_OK : cannot("change", path, err);
        }
    }
    (void)closedir(d);
    return rc == EFX_OK ? sync_folder(p, err) : rc;
}

static int remove_void(const struct file_parts *p, const struct found *f, const char *path,
                       const uint64_t *start)
{
    bool earlier = f->epoch < p->epoch || (f->epoch == p->epoch && f->part == p->part);
    return f->staged && f->no > *start && earlier ? unlink(path) : 0;
}

enum efx_rc efx_parts__abort(struct file_parts *p, uint64_t start, struct efx_err *err)
{
    return each(p, remove_void, &start, err);
}

static int take_back(const struct file_parts *p, const struct found *f, const char *path,
                     const uint64_t *range)
{
    char to[PATH_BYTES + 256 + 8];
    (void)p;
    if (f->staged || f->no < range[0] || f->no > range[1]) {
        return 0;
    }
    (void)snprintf(to, sizeof to, "%s.undone", path);
    return rename(path, to);
}

enum efx_rc efx_parts__undo(struct file_parts *p, uint64_t first, uint64_t last,
                            struct efx_err *err)
{
    uint64_t range[2] = {first, last};
    return each(p, take_back, range, err);
}

/* What no manifest names is removed when the next process starts from the last one. */
void efx_parts__close(struct file_parts *p)
{
    for (uint32_t i = 0; i < p->n_waiting; i++) {
        if (p->waiting[i].fd >= 0) {
            (void)close(p->waiting[i].fd);
        }
    }
    if (p->open) {
        (void)close(p->out.fd);
    }
    efx_out_fini(&p->out);
}
