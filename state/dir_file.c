/* Files that are there wholly or not at all. */
#define _GNU_SOURCE
#include "dir_file.h"

#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { TMP_NAME_MAX = EFX_CHUNK_TEXT + 32, SYNC_EACH_MAX = 4 };
static const uint64_t seal_magic = 0x316c616573786665u; /* "efxseal1" */

enum efx_rc efx_dir__fail(const struct efx_folder *dir, const char *name, const char *did,
                          struct efx_err *err)
{
    int e = errno;
    const char *slash = name[0] == '\0' ? "" : "/";
    if (e == ENOSPC || e == EDQUOT || e == EFBIG) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0,
                        "%s%s%s: no room to %s it (%s): make room, nothing was lost", dir->path,
                        slash, name, did, strerror(e));
    }
    bool rights = e == EACCES || e == EPERM || e == EROFS || e == ENOTDIR;
    return EFX_FAIL(err, EFX_EIO, rights ? EFX_KIND_USER : EFX_KIND_ENV, 0, "%s%s%s: cannot %s: %s",
                    dir->path, slash, name, did, strerror(e));
}

/* One folder of the way; the one above it is synced if it is new. */
static enum efx_rc make_one(const char *path, const struct efx_folder *dir, struct efx_err *err)
{
    char above[PATH_MAX];
    if (mkdir(path, 0777) != 0) {
        return errno == EEXIST || errno == EISDIR ? EFX_OK
                                                  : efx_dir__fail(dir, "", "make the folder", err);
    }
    (void)snprintf(above, sizeof above, "%s", path);
    char *slash = strrchr(above, '/');
    if (slash == NULL) {
        (void)snprintf(above, sizeof above, ".");
    } else {
        slash[slash == above ? 1 : 0] = '\0';
    }
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        enum efx_rc rc = efx_dir__fail(dir, "", "sync what holds the folder", err);
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    (void)close(fd);
    return EFX_OK;
}

enum efx_rc efx_dir__open(struct efx_folder *dir, struct efx_err *err)
{
    char path[PATH_MAX];
    dir->fd = -1;
    if ((size_t)snprintf(path, sizeof path, "%s", dir->path) >= sizeof path) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "the folder's path is too long");
    }
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            EFX_RET(make_one(path, dir, err));
            *p = '/';
        }
    }
    EFX_RET(make_one(path, dir, err));
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir->fd >= 0 ? EFX_OK : efx_dir__fail(dir, "", "open the folder", err);
}

enum efx_rc efx_dir__sweep(const struct efx_folder *dir, struct efx_err *err)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        return efx_dir__fail(dir, "", "read the folder", err);
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n > 5 && e->d_name[0] == '.' && strcmp(e->d_name + n - 4, ".tmp") == 0) {
            (void)unlinkat(dir->fd, e->d_name, 0);
        }
    }
    (void)closedir(d);
    return EFX_OK;
}

enum efx_rc efx_dir__sync(const struct efx_folder *dir, struct efx_err *err)
{
    return fsync(dir->fd) == 0 ? EFX_OK : efx_dir__fail(dir, "", "sync the folder", err);
}

static void tmp_name(const char *name, char out[TMP_NAME_MAX])
{
    (void)snprintf(out, TMP_NAME_MAX, ".%s.tmp", name);
}

void efx_dir__give_up(const struct efx_folder *dir, const char *name, int fd)
{
    char tmp[TMP_NAME_MAX];
    int e = errno;
    tmp_name(name, tmp);
    (void)close(fd);
    (void)unlinkat(dir->fd, tmp, 0);
    errno = e;
}

enum efx_rc efx_dir__begin(const struct efx_folder *dir, const char *name,
                           const struct efx_bytes *parts, uint32_t n_parts, int *fd,
                           struct efx_err *err)
{
    char tmp[TMP_NAME_MAX];
    tmp_name(name, tmp);
    int f = openat(dir->fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f < 0) {
        return efx_dir__fail(dir, name, "write", err);
    }
    for (uint32_t i = 0; i < n_parts; i++) {
        for (size_t at = 0; at < parts[i].n;) {
            ssize_t n = write(f, parts[i].p + at, parts[i].n - at);
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n <= 0) {
                errno = n == 0 ? ENOSPC : errno;
                efx_dir__give_up(dir, name, f);
                return efx_dir__fail(dir, name, "write", err);
            }
            at += (size_t)n;
        }
    }
    (void)sync_file_range(f, 0, 0, SYNC_FILE_RANGE_WRITE); /* so that many are on their way */
    *fd = f;
    return EFX_OK;
}

enum efx_rc efx_dir__sync_all(const struct efx_folder *dir, const int *fd, uint32_t n,
                              struct efx_err *err)
{
    int failed = n > SYNC_EACH_MAX ? syncfs(dir->fd) : 0;
    for (uint32_t i = 0; n <= SYNC_EACH_MAX && i < n && failed == 0; i++) {
        failed = fsync(fd[i]);
    }
    return failed == 0 ? EFX_OK : efx_dir__fail(dir, "", "sync files", err);
}

enum efx_rc efx_dir__settle(const struct efx_folder *dir, const char *name, int fd,
                            struct efx_err *err)
{
    char tmp[TMP_NAME_MAX];
    tmp_name(name, tmp);
    if (renameat(dir->fd, tmp, dir->fd, name) != 0) {
        efx_dir__give_up(dir, name, fd);
        return efx_dir__fail(dir, name, "write", err);
    }
    (void)close(fd);
    return EFX_OK;
}

enum efx_rc efx_dir__read(const struct efx_folder *dir, const char *name, size_t from,
                          struct efx_writer *out, struct efx_err *err)
{
    struct stat st;
    enum efx_rc rc = EFX_OK;
    int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? EFX_EABSENT : efx_dir__fail(dir, name, "read", err);
    }
    if (fstat(fd, &st) != 0) {
        EFX_GOTO(close, efx_dir__fail(dir, name, "read", err));
    }
    size_t n = (size_t)st.st_size < from ? 0 : (size_t)st.st_size - from;
    if (n > out->max - out->n) {
        EFX_GOTO(close, efx_state__no_room(out, n, err));
    }
    for (size_t at = 0; at < n;) {
        ssize_t got = pread(fd, out->p + out->n + at, n - at, (off_t)(from + at));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            EFX_GOTO(close, efx_dir__fail(dir, name, "read", err));
        }
        if (got == 0) {
            n = at; /* it got shorter meanwhile: its hash will say so */
        }
        at += (size_t)got;
    }
    out->n += n;
close:
    (void)close(fd);
    return rc;
}

enum efx_rc efx_dir__remove(const struct efx_folder *dir, const char *name, struct efx_err *err)
{
    if (unlinkat(dir->fd, name, 0) != 0) {
        return errno == ENOENT ? EFX_EABSENT : efx_dir__fail(dir, name, "remove", err);
    }
    return EFX_OK;
}

static void put_seal(const struct efx_seal *seal, uint8_t out[EFX_SEAL_BYTES])
{
    struct efx_writer w = {.p = out, .max = EFX_SEAL_BYTES};
    efx_put_u64(&w, seal_magic);
    efx_put_u64(&w, seal->a);
    efx_put_u64(&w, seal->b);
    efx_put_u64(&w, seal->n);
    efx_put_raw(&w, seal->hash.b, EFX_HASH_BYTES);
    efx_put_u64(&w, XXH3_64bits(out, w.n));
    EFX_ASSERT(w.n == EFX_SEAL_BYTES && !w.full);
}

enum efx_rc efx_dir__write_sealed(const struct efx_folder *dir, const char *name,
                                  const struct efx_seal *seal, struct efx_bytes bytes,
                                  struct efx_err *err)
{
    uint8_t head[EFX_SEAL_BYTES];
    int fd = -1;
    put_seal(seal, head);
    struct efx_bytes parts[] = {{head, sizeof head}, bytes};
    EFX_RET(efx_dir__begin(dir, name, parts, 2, &fd, err));
    enum efx_rc rc = efx_dir__sync_all(dir, &fd, 1, err);
    if (rc != EFX_OK) {
        efx_dir__give_up(dir, name, fd);
        return rc;
    }
    EFX_RET(efx_dir__settle(dir, name, fd, err));
    return efx_dir__sync(dir, err);
}

enum efx_rc efx_dir__read_seal(const struct efx_folder *dir, const char *name, struct efx_seal *out,
                               struct efx_err *err)
{
    uint8_t is[EFX_SEAL_BYTES], must[EFX_SEAL_BYTES];
    int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? EFX_EABSENT : efx_dir__fail(dir, name, "read", err);
    }
    ssize_t n = pread(fd, is, sizeof is, 0);
    if (n < 0) {
        enum efx_rc rc = efx_dir__fail(dir, name, "read", err);
        (void)close(fd);
        return rc;
    }
    (void)close(fd);
    struct efx_reader r = {.p = is + 8, .left = n < 8 ? 0 : (size_t)n - 8};
    struct efx_seal seal = {.a = efx_get_u64(&r), .b = efx_get_u64(&r), .n = efx_get_u64(&r)};
    efx_get_raw(&r, seal.hash.b, EFX_HASH_BYTES);
    put_seal(&seal, must);
    if (n != EFX_SEAL_BYTES || memcmp(is, must, sizeof is) != 0) {
        return EFX_EPARSE;
    }
    *out = seal;
    return EFX_OK;
}
