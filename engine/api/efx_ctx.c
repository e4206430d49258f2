#include "efx_ctx.h"

void efx_ctx_init(struct efx_ctx *ctx, struct efx_mem *mem)
{
    memset(ctx, 0, sizeof *ctx);
    ctx->mem = mem;
    ctx->seg[0] = mem->alloc(mem, EFX_CTX_SEG_BYTES);
    EFX_ASSERT(ctx->seg[0] != NULL);
    ctx->seg_bytes[0] = EFX_CTX_SEG_BYTES;
    ctx->n_segs = 1;
    efx_arena_init(&ctx->step, mem, SIZE_MAX);
}

void efx_ctx_fini(struct efx_ctx *ctx)
{
    for (uint32_t i = 0; i < ctx->n_segs; i++) {
        ctx->mem->free(ctx->mem, ctx->seg[i], ctx->seg_bytes[i]);
    }
    if (ctx->uuids != NULL) {
        ctx->mem->free(ctx->mem, ctx->uuids, ctx->n_uuids * sizeof *ctx->uuids);
    }
    efx_arena_fini(&ctx->step);
}

/* The next segment; one that is too small for this piece is replaced, it is not in use. */
void *efx_ctx__more(struct efx_ctx *ctx, size_t bytes)
{
    uint32_t next = ctx->cur + 1;
    EFX_ASSERT(next < EFX_CTX_SEGS_MAX);
    if (next == ctx->n_segs || ctx->seg_bytes[next] < bytes) {
        if (next < ctx->n_segs) {
            ctx->mem->free(ctx->mem, ctx->seg[next], ctx->seg_bytes[next]);
        }
        size_t room = bytes > EFX_CTX_SEG_BYTES ? bytes : EFX_CTX_SEG_BYTES;
        ctx->seg[next] = ctx->mem->alloc(ctx->mem, room);
        EFX_ASSERT(ctx->seg[next] != NULL);
        ctx->seg_bytes[next] = room;
        ctx->n_segs = next < ctx->n_segs ? ctx->n_segs : next + 1;
    }
    ctx->cur = next;
    ctx->used_bytes = bytes;
    return ctx->seg[next];
}

void *efx_ctx_step_bytes(struct efx_ctx *ctx, size_t n)
{
    void *p = efx_arena_bytes(&ctx->step, n);
    EFX_ASSERT(p != NULL);
    return p;
}

struct efx_cell efx_ctx_cell(struct efx_ctx *ctx, const void *bytes, uint32_t len)
{
    if (len <= EFX_CELL_INLINE) {
        return efx_cell_make(bytes, len);
    }
    void *copy = efx_ctx_step_bytes(ctx, len);
    memcpy(copy, bytes, len);
    return efx_cell_make(copy, len);
}
