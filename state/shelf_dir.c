/* A shelf of files, for one process.
 *
 *   <dir>/<app>/lock                          flock, and the number of the process that has it
 *              /identity /terms /epoch        sealed (dir_file.h)
 *              /manifest-<no:20>              sealed: a = no, b = epoch
 *              /chunks/<no:20>-<hash:32>      the bytes as they are, named by their hash
 *
 * The crash argument: each file is written beside its place, synced, renamed, and its folder synced
 * before the call ends. So a name is the whole old content or the whole new one, and a manifest is
 * only there when all its chunks are.
 *
 *   Limits   a folder's names are read whole for each list
 *   Errors   EFX_ESTALE: another process has the lock; EFX_ELIMIT: the disk is full
 */
#include "local.h"

#include "dir_file.h"
#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { NAME_BYTES = 64 };

struct dir {
    struct efx_local base;
    struct efx_folder app, chunks;
    int lock_fd;
    char app_path[PATH_MAX], chunks_path[PATH_MAX + 8];
};

static void manifest_name(uint64_t no, char out[NAME_BYTES])
{
    char text[EFX_NO_TEXT + 1];
    efx_state__no_text(no, text);
    (void)snprintf(out, NAME_BYTES, "manifest-%s", text);
}

static enum efx_rc damaged(const struct dir *d, const char *name, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s/%s is damaged", d->app.path, name);
}

/* A sealed file's bytes; a damaged one is named. */
static enum efx_rc read_sealed(const struct dir *d, const char *name, struct efx_seal *seal,
                               struct efx_writer *out, struct efx_err *err)
{
    size_t at = out->n;
    enum efx_rc rc = efx_dir__read_seal(&d->app, name, seal, err);
    if (rc != EFX_OK) {
        return rc == EFX_EPARSE ? damaged(d, name, err) : rc;
    }
    rc = efx_dir__read(&d->app, name, EFX_SEAL_BYTES, out, err);
    if (rc != EFX_OK) {
        return rc == EFX_ELIMIT ? damaged(d, name, err) : rc; /* longer than any is */
    }
    struct efx_hash is = efx_state__hash((struct efx_bytes){out->p + at, out->n - at});
    return efx_state__hash_equal(&is, &seal->hash) ? EFX_OK : damaged(d, name, err);
}

static enum efx_rc load_epoch(struct dir *d, struct efx_err *err)
{
    struct efx_local *l = &d->base;
    struct efx_seal seal;
    enum efx_rc rc = efx_dir__read_seal(&d->app, "epoch", &seal, err);
    if (rc != EFX_OK) {
        return rc == EFX_EABSENT ? EFX_OK : rc == EFX_EPARSE ? damaged(d, "epoch", err) : rc;
    }
    if (seal.n < 8 || seal.n > EFX_RECORD_MAX + 8) {
        return damaged(d, "epoch", err);
    }
    size_t n = (size_t)seal.n + 1; /* room to notice one that is longer */
    struct efx_writer w = {.p = l->mem->alloc(l->mem, n), .max = n};
    if (w.p == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for the epoch's record");
    }
    rc = read_sealed(d, "epoch", &seal, &w, err);
    if (rc == EFX_OK) {
        struct efx_reader r = {.p = w.p, .left = w.n};
        struct efx_epoch epoch = {.no = seal.a, .start = seal.b, .term = efx_get_u64(&r)};
        epoch.record = (struct efx_bytes){r.p, r.left};
        rc = efx_local__set_epoch(l, &epoch, false, err);
    }
    l->mem->free(l->mem, w.p, n);
    return rc;
}

static enum efx_rc load(struct efx_local *l, struct efx_err *err)
{
    struct dir *d = (struct dir *)l;
    struct efx_seal seal;
    struct efx_writer none = {0};
    enum efx_rc rc = read_sealed(d, "terms", &seal, &none, err);
    if (rc != EFX_OK && rc != EFX_EABSENT) {
        return rc;
    }
    l->terms = rc == EFX_OK ? seal.a : 0;
    return load_epoch(d, err);
}

static enum efx_rc get_identity(struct efx_local *l, struct efx_hash *out, struct efx_err *err)
{
    struct efx_seal seal;
    struct efx_hash id;
    struct efx_writer w = {.p = id.b, .max = sizeof id.b};
    EFX_RET(read_sealed((struct dir *)l, "identity", &seal, &w, err));
    if (w.n != sizeof id.b) {
        return damaged((struct dir *)l, "identity", err);
    }
    *out = id;
    return EFX_OK;
}

static enum efx_rc write_sealed(struct efx_local *l, const char *name, uint64_t a, uint64_t b,
                                struct efx_bytes bytes, struct efx_err *err)
{
    struct efx_seal seal = {a, b, bytes.n, efx_state__hash(bytes)};
    return efx_dir__write_sealed(&((struct dir *)l)->app, name, &seal, bytes, err);
}

static enum efx_rc put_identity(struct efx_local *l, const struct efx_hash *id, struct efx_err *err)
{
    return write_sealed(l, "identity", 0, 0, (struct efx_bytes){id->b, sizeof id->b}, err);
}

static enum efx_rc put_terms(struct efx_local *l, uint64_t terms, struct efx_err *err)
{
    return write_sealed(l, "terms", terms, 0, (struct efx_bytes){NULL, 0}, err);
}

static enum efx_rc put_epoch(struct efx_local *l, const struct efx_epoch *epoch,
                             struct efx_err *err)
{
    size_t n = epoch->record.n + 8;
    struct efx_writer w = {.p = l->mem->alloc(l->mem, n), .max = n};
    if (w.p == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for the epoch's record");
    }
    efx_put_u64(&w, epoch->term);
    efx_put_raw(&w, epoch->record.p, epoch->record.n);
    enum efx_rc rc =
        write_sealed(l, "epoch", epoch->no, epoch->start, (struct efx_bytes){w.p, w.n}, err);
    l->mem->free(l->mem, w.p, n);
    return rc;
}

static enum efx_rc put_group(struct dir *d, const struct efx_chunk_name *names,
                             const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    char text[EFX_DIR_TOGETHER][EFX_CHUNK_TEXT + 1];
    int fd[EFX_DIR_TOGETHER] = {0};
    uint32_t n_begun = 0, n_settled = 0;
    enum efx_rc rc = EFX_OK;
    for (; rc == EFX_OK && n_begun < n; n_begun += rc == EFX_OK) {
        efx_state__chunk_text(&names[n_begun], text[n_begun]);
        rc = efx_dir__begin(&d->chunks, text[n_begun], &bytes[n_begun], 1, &fd[n_begun], err);
    }
    if (rc == EFX_OK) {
        rc = efx_dir__sync_all(&d->chunks, fd, n, err);
    }
    for (; rc == EFX_OK && n_settled < n; n_settled++) {
        rc = efx_dir__settle(&d->chunks, text[n_settled], fd[n_settled], err);
    }
    for (; n_settled < n_begun; n_settled++) {
        efx_dir__give_up(&d->chunks, text[n_settled], fd[n_settled]);
    }
    return rc;
}

static enum efx_rc put_chunks(struct efx_local *l, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    struct dir *d = (struct dir *)l;
    for (uint32_t at = 0; at < n; at += EFX_DIR_TOGETHER) {
        uint32_t k = n - at < EFX_DIR_TOGETHER ? n - at : EFX_DIR_TOGETHER;
        EFX_RET(put_group(d, names + at, bytes + at, k, err));
    }
    return efx_dir__sync(&d->chunks, err);
}

static enum efx_rc get_chunk(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err)
{
    char text[EFX_CHUNK_TEXT + 1];
    efx_state__chunk_text(name, text);
    return efx_dir__read(&((struct dir *)l)->chunks, text, 0, out, err);
}

/* Each name of a folder. */
static enum efx_rc each_name(const struct efx_folder *dir, void (*take)(void *arg, const char *),
                             void *arg, struct efx_err *err)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        return efx_dir__fail(dir, "", "read the folder", err);
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL; errno = 0) {
        take(arg, e->d_name);
    }
    enum efx_rc rc = errno == 0 ? EFX_OK : efx_dir__fail(dir, "", "read the folder", err);
    (void)closedir(d);
    return rc;
}

/* The first n of what lies behind `after`, kept sorted while the folder's names pass by. */
struct first_chunks {
    const struct efx_chunk_name *after;
    struct efx_chunk_name *out;
    uint32_t n, max;
};

static void take_chunk(void *arg, const char *text)
{
    struct first_chunks *f = arg;
    struct efx_chunk_name name;
    if (!efx_state__chunk_parse(text, strlen(text), &name) ||
        (f->after != NULL && efx_state__chunk_cmp(&name, f->after) <= 0)) {
        return;
    }
    uint32_t low = 0, high = f->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (efx_state__chunk_cmp(&f->out[mid], &name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == f->max) {
        return;
    }
    f->n += f->n < f->max;
    memmove(&f->out[low + 1], &f->out[low], (f->n - 1 - low) * sizeof name);
    f->out[low] = name;
}

static enum efx_rc list_chunks(struct efx_local *l, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct first_chunks f = {after, out, 0, *n};
    EFX_RET(each_name(&((struct dir *)l)->chunks, take_chunk, &f, err));
    *n = f.n;
    return EFX_OK;
}

static enum efx_rc del_chunk(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_err *err)
{
    char text[EFX_CHUNK_TEXT + 1];
    efx_state__chunk_text(name, text);
    return efx_dir__remove(&((struct dir *)l)->chunks, text, err);
}

static enum efx_rc put_manifest(struct efx_local *l, const struct efx_manifest_info *info,
                                struct efx_bytes bytes, struct efx_err *err)
{
    char name[NAME_BYTES];
    manifest_name(info->no, name);
    return write_sealed(l, name, info->no, info->epoch, bytes, err);
}

static enum efx_rc read_head(struct dir *d, uint64_t no, struct efx_manifest_info *info,
                             struct efx_err *err)
{
    char name[NAME_BYTES];
    struct efx_seal seal;
    manifest_name(no, name);
    enum efx_rc rc = efx_dir__read_seal(&d->app, name, &seal, err);
    *info = (struct efx_manifest_info){.no = no};
    if (rc == EFX_OK && seal.a == no) {
        *info = (struct efx_manifest_info){no, seal.b, seal.n, seal.hash};
    }
    return rc == EFX_EPARSE ? EFX_OK : rc;
}

static enum efx_rc get_manifest(struct efx_local *l, uint64_t no, struct efx_manifest_info *info,
                                struct efx_writer *out, struct efx_err *err)
{
    char name[NAME_BYTES];
    manifest_name(no, name);
    EFX_RET(read_head((struct dir *)l, no, info, err));
    if (out == NULL || info->epoch == 0) {
        return EFX_OK;
    }
    return efx_dir__read(&((struct dir *)l)->app, name, EFX_SEAL_BYTES, out, err);
}

struct last_manifests {
    uint64_t before;
    struct efx_manifest_info *out;
    uint32_t n, max;
};

static void take_manifest(void *arg, const char *text)
{
    static const char begin[] = "manifest-";
    struct last_manifests *f = arg;
    uint64_t no;
    if (strncmp(text, begin, sizeof begin - 1) != 0 ||
        !efx_state__no_parse(text + sizeof begin - 1, strlen(text + sizeof begin - 1), &no) ||
        (f->before != 0 && no >= f->before)) {
        return;
    }
    uint32_t i = f->n;
    while (i > 0 && f->out[i - 1].no < no) {
        i--;
    }
    if (i == f->max) {
        return;
    }
    f->n += f->n < f->max;
    memmove(&f->out[i + 1], &f->out[i], (f->n - 1 - i) * sizeof *f->out);
    f->out[i].no = no;
}

static enum efx_rc list_manifests(struct efx_local *l, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct dir *d = (struct dir *)l;
    struct last_manifests f = {before, out, 0, *n};
    EFX_RET(each_name(&d->app, take_manifest, &f, err));
    for (uint32_t i = 0; i < f.n; i++) {
        EFX_RET(read_head(d, out[i].no, &out[i], err));
    }
    *n = f.n;
    return EFX_OK;
}

static enum efx_rc del_manifest(struct efx_local *l, uint64_t no, struct efx_err *err)
{
    struct dir *d = (struct dir *)l;
    char name[NAME_BYTES];
    manifest_name(no, name);
    EFX_RET(efx_dir__remove(&d->app, name, err));
    return efx_dir__sync(&d->app, err); /* before any chunk that only it named goes */
}

static void close_dir(struct efx_local *l)
{
    struct dir *d = (struct dir *)l;
    struct efx_mem *mem = l->mem;
    int fd[] = {d->app.fd, d->chunks.fd, d->lock_fd};
    for (uint32_t i = 0; i < 3; i++) {
        if (fd[i] >= 0) {
            (void)close(fd[i]);
        }
    }
    mem->free(mem, d, sizeof *d);
}

static const struct efx_shelf_vt shelf_dir = {
    .load = load,
    .get_identity = get_identity,
    .put_identity = put_identity,
    .put_terms = put_terms,
    .put_epoch = put_epoch,
    .put_chunks = put_chunks,
    .get_chunk = get_chunk,
    .list_chunks = list_chunks,
    .del_chunk = del_chunk,
    .put_manifest = put_manifest,
    .get_manifest = get_manifest,
    .list_manifests = list_manifests,
    .del_manifest = del_manifest,
    .close = close_dir,
};

/* The lock goes with the process, whatever ends it. */
static enum efx_rc take_lock(struct dir *d, struct efx_err *err)
{
    char who[32] = "";
    d->lock_fd = openat(d->app.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (d->lock_fd < 0) {
        return efx_dir__fail(&d->app, "lock", "open", err);
    }
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return efx_dir__fail(&d->app, "lock", "lock", err);
        }
        ssize_t n = pread(d->lock_fd, who, sizeof who - 1, 0);
        who[n > 0 ? strcspn(who, "\n") : 0] = '\0';
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0,
                        "%s is in use by process %s: end it, or take another directory",
                        d->app.path, who[0] != '\0' ? who : "?");
    }
    int n = snprintf(who, sizeof who, "%ld\n", (long)getpid());
    if (ftruncate(d->lock_fd, 0) != 0 || pwrite(d->lock_fd, who, (size_t)n, 0) != n) {
        return efx_dir__fail(&d->app, "lock", "write", err);
    }
    return EFX_OK;
}

static enum efx_rc open_folders(struct dir *d, const struct efx_stores_conf *conf,
                                struct efx_err *err)
{
    size_t n = (size_t)snprintf(d->app_path, sizeof d->app_path, "%s/%s", conf->path, conf->app);
    if (n >= sizeof d->app_path) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "the directory's path is too long");
    }
    (void)snprintf(d->chunks_path, sizeof d->chunks_path, "%s/chunks", d->app_path);
    d->app.path = d->app_path;
    d->chunks.path = d->chunks_path;
    EFX_RET(efx_dir__open(&d->app, err));
    EFX_RET(take_lock(d, err));
    EFX_RET(efx_dir__open(&d->chunks, err));
    EFX_RET(efx_dir__sweep(&d->app, err));
    return efx_dir__sweep(&d->chunks, err);
}

enum efx_rc efx_dir__place(struct efx_local **out, const struct efx_stores_conf *conf,
                           struct efx_world *world, struct efx_mem *mem, struct efx_err *err)
{
    struct dir *d = mem->alloc(mem, sizeof *d);
    if (d == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a store");
    }
    memset(d, 0, sizeof *d);
    d->base = (struct efx_local){.shelf = &shelf_dir, .world = world, .mem = mem};
    d->app.fd = d->chunks.fd = d->lock_fd = -1;
    enum efx_rc rc = open_folders(d, conf, err);
    if (rc != EFX_OK) {
        close_dir(&d->base);
        return rc;
    }
    EFX_RET(efx_local__begin(&d->base, err));
    *out = &d->base;
    return EFX_OK;
}
