/* Picking rows of a batch by number: one loop a column. */
#include "gather.h"

static void gather_slots(const struct efx_col *from, const uint32_t *row, uint32_t n, void *data)
{
    switch (efx_type_width(from->type)) {
    case 1:
        for (uint32_t i = 0; i < n; i++) {
            ((uint8_t *)data)[i] = ((const uint8_t *)from->data)[row[i]];
        }
        break;
    case 4:
        for (uint32_t i = 0; i < n; i++) {
            ((uint32_t *)data)[i] = ((const uint32_t *)from->data)[row[i]];
        }
        break;
    case 8:
        for (uint32_t i = 0; i < n; i++) {
            ((uint64_t *)data)[i] = ((const uint64_t *)from->data)[row[i]];
        }
        break;
    default: /* a cell */
        for (uint32_t i = 0; i < n; i++) {
            ((struct efx_cell *)data)[i] = ((const struct efx_cell *)from->data)[row[i]];
        }
        break;
    }
}

struct efx_col efx_op__gather(struct efx_ctx *ctx, const struct efx_col *from, const uint32_t *row,
                              uint32_t n)
{
    void *data = efx_scratch(ctx, (size_t)n * efx_type_width(from->type));
    uint64_t *valid = NULL;
    gather_slots(from, row, n, data);
    if (from->valid != NULL) {
        valid = efx_scratch_zero(ctx, efx_words(n) * sizeof *valid);
        for (uint32_t i = 0; i < n; i++) {
            valid[i / 64] |= (uint64_t)efx_bit(from->valid, row[i]) << i % 64;
        }
    }
    return (struct efx_col){.type = from->type, .data = data, .valid = valid};
}

void efx_op__inherit(struct efx_ctx *ctx, const struct efx_step *step, const struct efx_batch *in,
                     const uint32_t *row, uint32_t n, uint32_t needs, struct efx_batch *b)
{
    const struct efx_col ts = {.type = EFX_TYPE_LONG, .data = in->ts_ms};
    b->ts_ms = efx_op__gather(ctx, &ts, row, n).data;
    if (in->clk_ms != NULL) {
        const struct efx_col clk = {.type = EFX_TYPE_LONG, .data = in->clk_ms};
        b->clk_ms = efx_op__gather(ctx, &clk, row, n).data;
    }
    if ((needs & EFX_NEEDS_MOMENT) != 0) {
        efx_moment *moment = efx_scratch(ctx, n * sizeof *moment);
        for (uint32_t i = 0; i < n; i++) {
            moment[i] = efx_op_row_moment(step, in, row[i]);
        }
        b->moment = moment;
    }
    if ((needs & EFX_NEEDS_SUB) != 0) {
        uint64_t *sub = efx_scratch_zero(ctx, n * sizeof *sub);
        for (uint32_t i = 0; in->sub != NULL && i < n; i++) {
            sub[i] = in->sub[row[i]];
        }
        b->sub = sub;
    }
}
