#ifndef EFX_BUF_H
#define EFX_BUF_H

#include "efx_arena.h"
#include "efx_codec.h"

/* Bytes that grow: what is encoded before its size is known.
 *
 *   efx_buf_room(b, n) ──► n bytes at the end, to be filled ──► b->n has grown by n
 *
 *   Owner   whoever inited it; p moves when it grows
 *   Errors  `bad` once the allocator said no: later calls do nothing, p[0 .. n) is not to be used
 *   Threads one at a time
 */
struct efx_buf {
    struct efx_mem *mem;
    uint8_t *p;
    size_t n, max;
    bool bad;
};

static inline void efx_buf_init(struct efx_buf *b, struct efx_mem *mem)
{
    *b = (struct efx_buf){.mem = mem};
}

static inline void efx_buf_fini(struct efx_buf *b)
{
    if (b->p != NULL) {
        b->mem->free(b->mem, b->p, b->max);
    }
    *b = (struct efx_buf){.mem = b->mem};
}

static inline void efx_buf_clear(struct efx_buf *b)
{
    b->n = 0;
    b->bad = false;
}

/* NULL: no memory. */
static inline void *efx_buf_room(struct efx_buf *b, size_t n)
{
    if (!b->bad && n > b->max - b->n) {
        size_t max = (b->n + n) * 2 < 256 ? 256 : (b->n + n) * 2;
        uint8_t *more = efx_mem_grow(b->mem, b->p, b->max, max);
        b->bad = more == NULL;
        b->p = more == NULL ? b->p : more;
        b->max = more == NULL ? b->max : max;
    }
    if (b->bad) {
        return NULL;
    }
    void *at = b->p + b->n;
    b->n += n;
    return at;
}

static inline void efx_buf_put(struct efx_buf *b, const void *p, size_t n)
{
    void *at = efx_buf_room(b, n);
    if (at != NULL && n != 0) {
        memcpy(at, p, n);
    }
}

static inline void efx_buf_u8(struct efx_buf *b, uint8_t v)
{
    efx_buf_put(b, &v, sizeof v);
}

static inline void efx_buf_u16(struct efx_buf *b, uint16_t v)
{
    efx_buf_put(b, &v, sizeof v);
}

static inline void efx_buf_u32(struct efx_buf *b, uint32_t v)
{
    efx_buf_put(b, &v, sizeof v);
}

static inline void efx_buf_u64(struct efx_buf *b, uint64_t v)
{
    efx_buf_put(b, &v, sizeof v);
}

static inline void efx_buf_i64(struct efx_buf *b, int64_t v)
{
    efx_buf_put(b, &v, sizeof v);
}

/* u32 length and bytes, read back by efx_get_text. */
static inline void efx_buf_text(struct efx_buf *b, const void *p, size_t n)
{
    efx_buf_u32(b, (uint32_t)n);
    efx_buf_put(b, p, n);
}

static inline struct efx_bytes efx_get_text(struct efx_reader *r)
{
    return efx_get_view(r, efx_get_u32(r));
}

static inline struct efx_bytes efx_buf_bytes(const struct efx_buf *b)
{
    return (struct efx_bytes){b->p, b->n};
}

#endif /* EFX_BUF_H */
