#ifndef EFX_CTX_H
#define EFX_CTX_H

#include "efx_arena.h"
#include "efx_col.h"

/* What a shard lends to the operators that run on it.
 *
 *   scratch  a stack of buffers for the length of a call:
 *              filter │ yes, failed │ window │ changes │ select │ columns │      free
 *                     └──────── used_bytes: a push runs the next operator at once ──┘
 *            an operator keeps used_bytes, takes what it needs, puts used_bytes back on return
 *   step     bytes that live until the step ends: texts made by functions, rows that wait at a
 *            confluence; cells may point into it. Reset by the core between steps
 *
 *   Owner    the shard; one for all its operators
 *   Limits   scratch grows in segments kept for ever (EFX_CTX_SEG_BYTES or one larger piece), up to
 *            memory; it never fails: out of memory ends the app (EFX_KIND_ENV, by efx_panic's kin)
 *   Threads  the shard's owner
 */
enum { EFX_CTX_SEG_BYTES = 4 * 1024 * 1024, EFX_CTX_SEGS_MAX = 256 };

struct efx_table_view; /* efx_expr.h */

/* Where data errors are counted and, at a limited rate, told; the core's. */
struct efx_error_sink {
    void (*report)(struct efx_error_sink *self, uint32_t stream, uint16_t code, uint64_t n);
};

struct efx_uuid_count { /* how often a uuid() was evaluated for the cause that it saw last */
    uint64_t cause;
    uint32_t n;
};

struct efx_ctx {
    uint8_t *seg[EFX_CTX_SEGS_MAX];
    size_t seg_bytes[EFX_CTX_SEGS_MAX];
    uint32_t n_segs;
    uint32_t cur;      /* segment in use */
    size_t used_bytes; /* of it */
    struct efx_arena step;
    struct efx_mem *mem;
    uint64_t seed;                /* of uuid() */
    struct efx_uuid_count *uuids; /* [n_uuids] by place of the call */
    uint32_t n_uuids;
    const struct efx_table_view *const *tables; /* [object id] this shard's tables; NULL = none */
    struct efx_error_sink *errors;              /* never NULL in a running graph */
};

struct efx_ctx_mark { /* a place on the stack */
    uint32_t cur;
    size_t used_bytes;
};

void efx_ctx_init(struct efx_ctx *ctx, struct efx_mem *mem);
void efx_ctx_fini(struct efx_ctx *ctx);
void *efx_ctx__more(struct efx_ctx *ctx, size_t bytes);

static inline struct efx_ctx_mark efx_ctx_begin(const struct efx_ctx *ctx)
{
    return (struct efx_ctx_mark){ctx->cur, ctx->used_bytes};
}

static inline void efx_ctx_end(struct efx_ctx *ctx, struct efx_ctx_mark m)
{
    ctx->cur = m.cur;
    ctx->used_bytes = m.used_bytes;
}

/* A piece that starts on a cache line; not zeroed. Never NULL. */
static inline void *efx_scratch(struct efx_ctx *ctx, size_t bytes)
{
    size_t whole = (bytes + EFX_CACHE_LINE - 1) & ~(size_t)(EFX_CACHE_LINE - 1);
    if (whole > ctx->seg_bytes[ctx->cur] - ctx->used_bytes) {
        return efx_ctx__more(ctx, whole);
    }
    void *p = ctx->seg[ctx->cur] + ctx->used_bytes;
    ctx->used_bytes += whole;
    return p;
}

static inline void *efx_scratch_zero(struct efx_ctx *ctx, size_t bytes)
{
    return memset(efx_scratch(ctx, bytes), 0, bytes);
}

/* Bytes that live until the step ends, 8-byte aligned. Never NULL. */
void *efx_ctx_step_bytes(struct efx_ctx *ctx, size_t n);
/* A cell whose bytes live until the step ends. */
struct efx_cell efx_ctx_cell(struct efx_ctx *ctx, const void *bytes, uint32_t len);

#endif /* EFX_CTX_H */
