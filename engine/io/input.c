/* Inputs of the command line, packed or not. */
#include "efx_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum packing { PLAIN = 1, ZSTD, GZIP };
enum { PACKED_BYTES = 64 * 1024 };

struct input {
    struct efx_source base;
    const char *path;
    int fd;
    bool waits; /* a pipe or terminal: reading could block */
    enum packing packing;
    bool begins;
    uint64_t size_bytes, read_bytes;
    uint8_t *packed; /* [PACKED_BYTES] */
    size_t at, n;    /* of it, not unpacked yet */
    bool ended;      /* the file is read to its end */
    bool complete;   /* what was unpacked ended where it may */
    ZSTD_DCtx *zstd;
    z_stream gzip;
};

static bool ends_with(const char *s, const char *ending)
{
    size_t n = strlen(s), k = strlen(ending);
    return n > k && strcmp(s + n - k, ending) == 0;
}

static enum efx_rc open_input(struct efx_source *self, const struct efx_source_open *how,
                              struct efx_err *err)
{
    struct input *s = (struct input *)self;
    struct stat st;
    s->path = ((const struct efx_input_conf *)how->conf)->path;
    bool std_in = strcmp(s->path, "-") == 0;
    s->fd = std_in ? STDIN_FILENO : open(s->path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        const char *why = s->fd >= 0 && S_ISDIR(st.st_mode) ? "is a directory" : strerror(errno);
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "cannot read %s: %s", s->path, why);
    }
    s->waits = !S_ISREG(st.st_mode);
    s->size_bytes = s->waits ? 0 : (uint64_t)st.st_size;
    self->rewinds = !s->waits;
    s->begins = s->complete = true;
    s->packing = ends_with(s->path, ".zst") ? ZSTD : ends_with(s->path, ".gz") ? GZIP : PLAIN;
    if (s->packing != PLAIN) {
        s->packed = efx_arena_bytes(how->arena, PACKED_BYTES);
        s->zstd = s->packing == ZSTD ? ZSTD_createDCtx() : NULL;
        bool ok = s->packed != NULL &&
                  (s->packing == ZSTD ? s->zstd != NULL : inflateInit2(&s->gzip, 15 + 16) == Z_OK);
        return ok ? EFX_OK : EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    return EFX_OK;
}

/* Bytes of the descriptor; 0 with s->ended at its end. */
static enum efx_rc read_some(struct input *s, uint8_t *p, size_t max, size_t *n)
{
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    *n = 0;
    if (s->waits && poll(&ready, 1, 0) <= 0) {
        return EFX_AGAIN;
    }
    ssize_t k = read(s->fd, p, max);
    if (k < 0) {
        return errno == EINTR || errno == EAGAIN ? EFX_AGAIN : EFX_EIO;
    }
    *n = (size_t)k;
    s->ended = k == 0;
    s->read_bytes += (uint64_t)k;
    return EFX_OK;
}

static bool unpack_zstd(struct input *s, struct efx_chunk *out)
{
    ZSTD_inBuffer in = {s->packed, s->n, s->at};
    ZSTD_outBuffer to = {out->bytes, out->max_bytes, out->n_bytes};
    size_t left = ZSTD_decompressStream(s->zstd, &to, &in);
    s->at = in.pos;
    out->n_bytes = to.pos;
    s->complete = left == 0;
    return !ZSTD_isError(left);
}

static bool unpack_gzip(struct input *s, struct efx_chunk *out)
{
    s->gzip.next_in = s->packed + s->at;
    s->gzip.avail_in = (uInt)(s->n - s->at);
    s->gzip.next_out = out->bytes + out->n_bytes;
    s->gzip.avail_out = (uInt)(out->max_bytes - out->n_bytes);
    int rc = inflate(&s->gzip, Z_NO_FLUSH);
    s->at = s->n - s->gzip.avail_in;
    out->n_bytes = out->max_bytes - s->gzip.avail_out;
    s->complete = rc == Z_STREAM_END;
    return rc == Z_OK || rc == Z_BUF_ERROR || (s->complete && inflateReset(&s->gzip) == Z_OK);
}

static enum efx_rc read_packed(struct input *s, struct efx_chunk *out)
{
    size_t before = out->n_bytes;
    while (out->n_bytes == before) {
        if (s->at == s->n && !s->ended) {
            s->at = 0;
            EFX_RET(read_some(s, s->packed, PACKED_BYTES, &s->n));
        }
        if (s->at == s->n && s->ended && s->complete) {
            return EFX_DONE;
        }
        size_t at = s->at;
        bool ok = s->packing == ZSTD ? unpack_zstd(s, out) : unpack_gzip(s, out);
        if (!ok || (s->ended && s->at == at && out->n_bytes == before)) {
            return EFX_EIO; /* damaged, or cut off */
        }
    }
    return EFX_OK;
}

static enum efx_rc read_input(struct efx_source *self, struct efx_chunk *out)
{
    struct input *s = (struct input *)self;
    enum efx_rc rc;
    size_t before = out->n_bytes;
    out->begins = s->begins;
    out->ends = false;
    if (s->packing != PLAIN) {
        rc = read_packed(s, out);
    } else {
        size_t n;
        rc = read_some(s, out->bytes + out->n_bytes, out->max_bytes - out->n_bytes, &n);
        out->n_bytes += n;
        rc = rc == EFX_OK && s->ended ? EFX_DONE : rc;
    }
    self->at[0] += out->n_bytes - before;
    s->begins = s->begins && rc != EFX_OK;
    out->ends = rc == EFX_DONE;
    return rc;
}

/* Of a packed file the position counts what comes out, so the way there is read again. */
static enum efx_rc skip_packed(struct input *s, uint64_t left, struct efx_err *err)
{
    uint8_t *buf = efx_mem_libc.alloc(&efx_mem_libc, PACKED_BYTES);
    enum efx_rc rc = buf == NULL ? EFX_ENOMEM : EFX_OK;
    while (rc == EFX_OK && left > 0) {
        size_t max = left < PACKED_BYTES ? (size_t)left : PACKED_BYTES;
        struct efx_chunk to = {.bytes = buf, .max_bytes = max};
        rc = read_packed(s, &to);
        left -= to.n_bytes;
    }
    efx_mem_libc.free(&efx_mem_libc, buf, PACKED_BYTES);
    return rc == EFX_OK ? EFX_OK
                        : EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0,
                                   "%s is shorter than when the checkpoint was made", s->path);
}

static enum efx_rc seek_input(struct efx_source *self, const struct efx_pos *pos, uint32_t n,
                              struct efx_err *err)
{
    struct input *s = (struct input *)self;
    if (n == 0 || !self->rewinds) {
        return EFX_OK;
    }
    self->at[0] = pos[0].next[0];
    s->begins = self->at[0] == 0;
    if (s->packing != PLAIN) {
        return skip_packed(s, self->at[0], err);
    }
    if (self->at[0] > s->size_bytes) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0,
                        "%s is shorter than when the checkpoint was made", s->path);
    }
    s->read_bytes = self->at[0];
    return lseek(s->fd, (off_t)self->at[0], SEEK_SET) >= 0
               ? EFX_OK
               : EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot seek in %s: %s", s->path,
                          strerror(errno));
}

static void close_input(struct efx_source *self)
{
    struct input *s = (struct input *)self;
    if (s->fd > STDIN_FILENO) {
        (void)close(s->fd);
    }
    (void)ZSTD_freeDCtx(s->zstd);
    if (s->packing == GZIP) {
        (void)inflateEnd(&s->gzip);
    }
}

int efx_input_fd(const struct efx_source *self)
{
    return ((const struct input *)self)->fd;
}

uint64_t efx_input_size(const struct efx_source *self)
{
    return ((const struct input *)self)->size_bytes;
}

uint64_t efx_input_read_bytes(const struct efx_source *self)
{
    return ((const struct input *)self)->read_bytes;
}

const struct efx_source_vt efx_input_source_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_source_vt),
             .name = "input",
             .help = "a file or standard input, once to its end",
             .conf_bytes = sizeof(struct efx_input_conf),
             .self_bytes = sizeof(struct input)},
    .stream = true,
    .open = open_input,
    .read = read_input,
    .seek = seek_input,
    .close = close_input,
};
