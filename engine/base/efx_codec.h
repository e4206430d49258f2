#ifndef EFX_CODEC_H
#define EFX_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Fixed-width little-endian bytes, out and in: packets, frames, saved state.
 *
 * Both sides fail once and stay failed, so a codec is a straight list of fields with one check at
 * its end. A reader that has failed gives zeros and empty views, so nothing read before the check
 * can lead outside the buffer.
 *
 *   Owner   the buffer is the caller's; a view points into it and lives as long as it does
 *   Limits  a writer never grows; what does not fit is not written, not even in part
 *   Threads none
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "this codec copies words as they lie");

struct efx_bytes { /* borrowed, not NUL-terminated */
    const uint8_t *p;
    size_t n;
};

struct efx_writer {
    uint8_t *p;
    size_t n;   /* bytes written */
    size_t max; /* bytes there are */
    bool full;  /* something did not fit */
};

struct efx_reader {
    const uint8_t *p; /* next byte */
    size_t left;
    bool bad; /* something was asked for that is not there */
};

static inline void efx_put_raw(struct efx_writer *w, const void *p, size_t n)
{
    w->full = w->full || n > w->max - w->n;
    if (!w->full && n != 0) {
        memcpy(w->p + w->n, p, n);
        w->n += n;
    }
}

static inline void efx_put_u8(struct efx_writer *w, uint8_t v)
{
    efx_put_raw(w, &v, sizeof v);
}

static inline void efx_put_u32(struct efx_writer *w, uint32_t v)
{
    efx_put_raw(w, &v, sizeof v);
}

static inline void efx_put_u64(struct efx_writer *w, uint64_t v)
{
    efx_put_raw(w, &v, sizeof v);
}

static inline void efx_put_i64(struct efx_writer *w, int64_t v)
{
    efx_put_raw(w, &v, sizeof v);
}

static inline struct efx_bytes efx_get_view(struct efx_reader *r, uint64_t n)
{
    r->bad = r->bad || n > r->left;
    if (r->bad) {
        return (struct efx_bytes){NULL, 0};
    }
    struct efx_bytes view = {r->p, (size_t)n};
    r->p += view.n;
    r->left -= view.n;
    return view;
}

static inline void efx_get_raw(struct efx_reader *r, void *out, size_t n)
{
    struct efx_bytes view = efx_get_view(r, n);
    memset(out, 0, n);
    if (view.n != 0) {
        memcpy(out, view.p, view.n);
    }
}

static inline uint8_t efx_get_u8(struct efx_reader *r)
{
    uint8_t v;
    efx_get_raw(r, &v, sizeof v);
    return v;
}

static inline uint16_t efx_get_u16(struct efx_reader *r)
{
    uint16_t v;
    efx_get_raw(r, &v, sizeof v);
    return v;
}

static inline uint32_t efx_get_u32(struct efx_reader *r)
{
    uint32_t v;
    efx_get_raw(r, &v, sizeof v);
    return v;
}

static inline uint64_t efx_get_u64(struct efx_reader *r)
{
    uint64_t v;
    efx_get_raw(r, &v, sizeof v);
    return v;
}

static inline int64_t efx_get_i64(struct efx_reader *r)
{
    int64_t v;
    efx_get_raw(r, &v, sizeof v);
    return v;
}

#endif /* EFX_CODEC_H */
