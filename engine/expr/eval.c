/* Running a compiled expression: operands, row sets, the turn from values to bits and back, and the
 * nodes that only look at the batch.
 */
#include "efx_expr_impl.h"
#include "efx_hash.h"
#include "efx_kernel.h"

/* ---- row sets ---- */

const uint64_t *efx_expr__both(const struct efx_rows *rows, const uint64_t *x, const uint64_t *y,
                               uint64_t *room)
{
    if (x == NULL && y == NULL) {
        return NULL;
    }
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        room[w] = efx_word(x, w, rows->until) & efx_word(y, w, rows->until);
    }
    return room;
}

const uint64_t *efx_expr__tidy(const struct efx_rows *rows, const uint64_t *valid)
{
    uint64_t missing = 0;
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        missing |= efx_rows_word(rows, w) & ~valid[w];
    }
    return missing == 0 ? NULL : valid;
}

void efx_expr__live(const struct efx_rows *rows, const uint64_t *x, const uint64_t *y,
                    uint64_t *live)
{
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        live[w] = efx_rows_word(rows, w) & (x == NULL ? UINT64_MAX : x[w]) &
                  (y == NULL ? UINT64_MAX : y[w]);
    }
}

/* ---- operands ---- */

void efx_expr__get(const struct efx_expr *e, const struct efx_expr__run *r,
                   struct efx_expr__arg *out)
{
    if (e->one && !e->lit.null) {
        *out = (struct efx_expr__arg){e->slot, NULL, true};
        return;
    }
    struct efx_col c;
    e->values(e, r, &c);
    *out = (struct efx_expr__arg){c.data, c.valid, false};
}

void efx_expr__get_two(const struct efx_expr *e, const struct efx_expr__run *r,
                       struct efx_expr__arg *x, struct efx_expr__arg *y)
{
    efx_expr__get(e->args[0], r, x);
    if (x->one && e->args[1]->one) {
        struct efx_col c;
        efx_expr__const_values(e->args[1], r, &c);
        *y = (struct efx_expr__arg){c.data, c.valid, false};
        return;
    }
    efx_expr__get(e->args[1], r, y);
}

/* ---- nodes that take what is there ---- */

#define FILL(T)                                                                                    \
    do {                                                                                           \
        T k_, *o_ = room.data;                                                                     \
        memcpy(&k_, e->slot, sizeof k_);                                                           \
        for (uint32_t i = r->rows->from; i < r->rows->until; i++) {                                \
            o_[i] = k_;                                                                            \
        }                                                                                          \
    } while (0)

void efx_expr__const_values(const struct efx_expr *e, const struct efx_expr__run *r,
                            struct efx_col *out)
{
    uint32_t width = efx_type_width(e->type);
    struct efx_expr__room room = efx_expr__room(r, width);
    if (width == 1) {
        FILL(uint8_t);
    } else if (width == 4) {
        FILL(uint32_t);
    } else if (width == 8) {
        FILL(uint64_t);
    } else if (width == 16) {
        FILL(struct efx_cell);
    }
    for (uint32_t w = r->rows->from / 64; e->lit.null && w < efx_words(r->rows->until); w++) {
        room.valid[w] = 0;
    }
    *out = (struct efx_col){e->type, room.data, e->lit.null ? room.valid : NULL};
}

void efx_expr__col_values(const struct efx_expr *e, const struct efx_expr__run *r,
                          struct efx_col *out)
{
    *out = r->rows->b->cols[e->col];
}

void efx_expr__time_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out)
{
    const struct efx_batch *b = r->rows->b;
    bool clock = e->op == EFX_BX_NOW && b->clk_ms != NULL;
    *out = (struct efx_col){EFX_TYPE_LONG, clock ? b->clk_ms : b->ts_ms, NULL};
}

/* The cause of row i as a number: an event's turn, or a timer's moment in its step. */
static uint64_t cause_of(const struct efx_expr__run *r, uint32_t i)
{
    const efx_moment *m = r->rows->b->moment;
    if (m == NULL) {
        return r->step->first_turn + i;
    }
    return efx_moment_is_event(m[i]) ? efx_step_turn(r->step, m[i])
                                     : efx_hash_mix(r->step->no, m[i]);
}

/* Rows of one cause may come in several batches: a flush in pieces, a loop, a join's rows. */
static struct efx_uuid_count *uuid_count(struct efx_ctx *ctx, uint32_t place)
{
    if (place >= ctx->n_uuids) {
        uint32_t n = place + 8;
        size_t bytes = sizeof *ctx->uuids;
        struct efx_uuid_count *more =
            ctx->uuids == NULL
                ? ctx->mem->alloc(ctx->mem, n * bytes)
                : efx_mem_grow(ctx->mem, ctx->uuids, ctx->n_uuids * bytes, n * bytes);
        EFX_ASSERT(more != NULL);
        memset(more + ctx->n_uuids, 0, (n - ctx->n_uuids) * bytes);
        ctx->uuids = more;
        ctx->n_uuids = n;
    }
    return &ctx->uuids[place];
}

void efx_expr__uuid_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, sizeof(struct efx_cell));
    struct efx_cell *cells = room.data;
    struct efx_uuid_count *count = uuid_count(r->ctx, e->place);
    efx_expr__live(r->rows, NULL, NULL, room.valid);
    EFX_KERNEL_EACH(r->rows, room.valid, {
        uint64_t cause = cause_of(r, i);
        count->n = cause == count->cause ? count->n : 0;
        count->cause = cause;
        char *text = efx_ctx_step_bytes(r->ctx, 36);
        efx_eval_uuid(r->ctx->seed, cause, e->place, count->n++, text);
        cells[i] = efx_cell_make(text, 36);
    })
    *out = (struct efx_col){EFX_TYPE_STRING, cells, NULL};
}

/* ---- values and bits ---- */

/* Bytes 0, 1 of whatever rows: bits of the slice. */
EFX_KERNEL static void pack(const uint8_t *byte, const struct efx_rows *rows,
                            uint64_t *hit){EFX_KERNEL_WORDS(rows, hit, byte[i] != 0)}

EFX_KERNEL
    static void unpack(const uint64_t *bits, const struct efx_rows *rows, uint8_t *restrict out)
{
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        uint32_t lo = w * 64 < rows->from ? rows->from : w * 64;
        uint32_t hi = w * 64 + 64 > rows->until ? rows->until : w * 64 + 64;
        uint64_t word = bits[w];
        for (uint32_t i = lo; i < hi; i++) {
            out[i] = (uint8_t)(word >> (i % 64) & 1);
        }
    }
}

void efx_expr__bits_of_values(const struct efx_expr *e, const struct efx_expr__run *r,
                              struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_col c;
    e->values(e, r, &c);
    efx_expr__live(r->rows, c.valid, NULL, out.f);
    pack(c.data, r->rows, out.t);
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        out.t[w] &= out.f[w];
        out.f[w] &= ~out.t[w];
    }
    efx_ctx_end(r->ctx, mark);
}

void efx_expr__values_of_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                              struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, 1);
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__bits bits = {efx_expr__words(r), room.valid};
    e->bits(e, r, bits);
    unpack(bits.t, r->rows, room.data);
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        room.valid[w] |= bits.t[w];
    }
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){EFX_TYPE_BOOL, room.data, efx_expr__tidy(r->rows, room.valid)};
}

/* ---- functions ---- */

static void call_args(const struct efx_expr *e, const struct efx_expr__run *r, struct efx_col *args,
                      uint64_t *valid)
{
    for (uint32_t a = 0; a < e->n_args; a++) {
        e->args[a]->values(e->args[a], r, &args[a]);
        if (e->func->strict && args[a].valid != NULL) {
            (void)efx_expr__both(r->rows, valid, args[a].valid, valid);
        }
    }
}

void efx_expr__call_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, efx_type_width(e->type));
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_col *args = efx_scratch(r->ctx, (e->n_args + 1) * sizeof *args);
    uint32_t last = efx_words(r->rows->until);
    for (uint32_t w = r->rows->from / 64; w < last; w++) {
        room.valid[w] = UINT64_MAX;
    }
    call_args(e, r, args, room.valid);
    e->func->vec(&(struct efx_func_call){.rows = r->rows,
                                         .n_args = e->n_args,
                                         .args = args,
                                         .data = room.data,
                                         .valid = room.valid,
                                         .fails = r->fails,
                                         .ctx = r->ctx});
    for (uint32_t w = r->rows->from / 64; e->can_fail && r->fails->any && w < last; w++) {
        room.valid[w] &= ~r->fails->failed[w];
    }
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){e->type, room.data, efx_expr__tidy(r->rows, room.valid)};
}

/* ---- the door ---- */

/* Callers that do not care which rows fail: they are NULL, and nobody is told. */
static struct efx_fails *nobody(struct efx_ctx *ctx, uint32_t until)
{
    struct efx_fails *f = efx_scratch(ctx, sizeof *f);
    uint64_t *failed = efx_scratch_zero(ctx, efx_words(until) * sizeof(uint64_t));
    *f = (struct efx_fails){failed, efx_scratch(ctx, until * sizeof(uint16_t)), false};
    return f;
}

static struct efx_expr__run run_of(const struct efx_expr *e, struct efx_ctx *ctx,
                                   const struct efx_step *step, const struct efx_rows *in,
                                   struct efx_fails *fails)
{
    if (fails == NULL && e->can_fail) {
        fails = nobody(ctx, in->until);
    }
    return (struct efx_expr__run){ctx, step, in, fails};
}

/* An operand failed, and yet the whole may have a value (fails OR TRUE): the row has none. */
static void forget_failed(const struct efx_expr__run *r, struct efx_col *out)
{
    uint64_t *valid = efx_expr__words(r);
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        valid[w] = efx_word(out->valid, w, r->rows->until) & ~r->fails->failed[w];
    }
    out->valid = valid;
}

void efx_expr_eval(const struct efx_expr *e, struct efx_ctx *ctx, const struct efx_step *step,
                   const struct efx_rows *in, struct efx_col *out, struct efx_fails *fails)
{
    if (e->col != EFX_NO_COL) {
        *out = in->b->cols[e->col];
        return;
    }
    struct efx_expr__run r = run_of(e, ctx, step, in, fails);
    e->values(e, &r, out);
    if (r.fails != NULL && r.fails->any) {
        forget_failed(&r, out);
    }
}

void efx_expr_filter(const struct efx_expr *e, struct efx_ctx *ctx, const struct efx_step *step,
                     const struct efx_rows *in, uint64_t *yes, struct efx_fails *fails)
{
    EFX_ASSERT(e->type == EFX_TYPE_BOOL);
    struct efx_ctx_mark mark = efx_ctx_begin(ctx);
    struct efx_expr__run r = run_of(e, ctx, step, in, fails);
    e->bits(e, &r, (struct efx_expr__bits){yes, efx_expr__words(&r)});
    for (uint32_t w = in->from / 64; r.fails != NULL && r.fails->any && w < efx_words(in->until);
         w++) {
        yes[w] &= ~r.fails->failed[w];
    }
    efx_ctx_end(ctx, mark);
}

enum efx_type efx_expr_type(const struct efx_expr *e)
{
    return e->type;
}

uint32_t efx_expr_col(const struct efx_expr *e)
{
    return e->col;
}

bool efx_expr_can_fail(const struct efx_expr *e)
{
    return e->can_fail;
}

bool efx_expr_const(const struct efx_expr *e, struct efx_value *out)
{
    if (e->one) {
        *out = e->lit;
    }
    return e->one;
}
