/* Encoded rows to a descriptor. */
#include "efx_out.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

void efx_out_init(struct efx_out *o, int fd)
{
    *o = (struct efx_out){.fd = fd};
}

void efx_out_fini(struct efx_out *o)
{
    if (o->w.p != NULL) {
        efx_mem_libc.free(&efx_mem_libc, o->w.p, o->w.max);
    }
    *o = (struct efx_out){.fd = -1};
}

static enum efx_rc write_all(struct efx_out *o, const uint8_t *p, size_t n, struct efx_err *err)
{
    while (n > 0) {
        ssize_t k = write(o->fd, p, n);
        if (k < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = o->fd, .events = POLLOUT};
            (void)poll(&ready, 1, 100);
        } else if (k < 0 && errno == EPIPE) {
            o->gone = true;
            return EFX_DONE;
        } else if (k < 0 && errno != EINTR) {
            return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot write: %s", strerror(errno));
        } else if (k > 0) {
            p += k;
            n -= (size_t)k;
            o->n_written += (uint64_t)k;
        }
    }
    return EFX_OK;
}

enum efx_rc efx_out_flush(struct efx_out *o, struct efx_err *err)
{
    size_t n = o->w.n;
    o->w.n = 0;
    return o->gone ? EFX_DONE : write_all(o, o->w.p, n, err);
}

static enum efx_rc grow(struct efx_out *o, struct efx_err *err)
{
    size_t max = o->w.max == 0 ? EFX_OUT_BYTES : o->w.max * 2;
    uint8_t *more = efx_mem_grow(&efx_mem_libc, o->w.p, o->w.max, max);
    if (more == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory for output");
    }
    o->w.p = more;
    o->w.max = max;
    return EFX_OK;
}

static enum efx_rc make_room(struct efx_out *o, struct efx_err *err)
{
    return o->w.n > 0 ? efx_out_flush(o, err) : grow(o, err);
}

enum efx_rc efx_out_rows(struct efx_out *o, const struct efx_format *f, uint16_t stream,
                         const struct efx_rows *rows, uint64_t *n, struct efx_err *err)
{
    struct efx_encode e = {.rows = *rows, .stream = stream, .w = &o->w};
    enum efx_rc rc = EFX_OK;
    if (o->w.p == NULL) {
        EFX_RET(grow(o, err));
    }
    while (rc == EFX_OK && (rc = f->vt->encode(f, &e)) == EFX_AGAIN) {
        rc = make_room(o, err);
    }
    *n += e.n;
    return rc;
}

enum efx_rc efx_out_head(struct efx_out *o, const struct efx_format *f, uint16_t stream,
                         struct efx_err *err)
{
    if (o->w.p == NULL) {
        EFX_RET(grow(o, err));
    }
    for (;;) {
        size_t n = o->w.n;
        f->vt->head(f, stream, &o->w);
        if (!o->w.full) {
            return EFX_OK;
        }
        o->w.full = false;
        o->w.n = n;
        EFX_RET(make_room(o, err));
    }
}

enum efx_rc efx_out_bytes(struct efx_out *o, const void *p, size_t n, struct efx_err *err)
{
    while (o->w.p == NULL || n > o->w.max - o->w.n) {
        EFX_RET(make_room(o, err));
    }
    efx_put_raw(&o->w, p, n);
    return EFX_OK;
}
