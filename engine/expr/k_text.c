/* Text kernels: ||, LIKE, ILIKE, REGEXP, over rows that are there and not NULL. */
#include "efx_expr_impl.h"
#include "efx_kernel.h"
#include "efx_text.h"

static struct efx_str str_at(const struct efx_expr__arg *a, uint32_t i)
{
    const struct efx_cell *c = (const struct efx_cell *)a->data + (a->one ? 0 : i);
    return (struct efx_str){(const char *)efx_cell_bytes(c), c->len};
}

/* Short results are put together in the cell, longer ones in the step's bytes. */
static struct efx_cell join(struct efx_ctx *ctx, struct efx_str a, struct efx_str b)
{
    uint8_t here[EFX_CELL_INLINE];
    uint32_t n = a.n + b.n;
    uint8_t *p = n <= EFX_CELL_INLINE ? here : efx_ctx_step_bytes(ctx, n);
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    return efx_cell_make(p, n);
}

void efx_expr__concat_values(const struct efx_expr *e, const struct efx_expr__run *r,
                             struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, sizeof(struct efx_cell));
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__arg x, y;
    efx_expr__get_two(e, r, &x, &y);
    efx_expr__live(r->rows, x.valid, y.valid, room.valid);
    struct efx_cell *cells = room.data;
    EFX_KERNEL_EACH(r->rows, room.valid, cells[i] = join(r->ctx, str_at(&x, i), str_at(&y, i)))
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){e->type, cells, efx_expr__tidy(r->rows, room.valid)};
}

/* f holds the rows to test and keeps those that do not match; t gets the others. */
static void split(const struct efx_rows *rows, struct efx_expr__bits out)
{
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        out.f[w] &= ~out.t[w];
    }
}

static void clear(const struct efx_rows *rows, uint64_t *bits)
{
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        bits[w] = 0;
    }
}

void efx_expr__like_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                         struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__arg x, y;
    bool fold = e->op == EFX_BX_ILIKE;
    efx_expr__get_two(e, r, &x, &y);
    efx_expr__live(r->rows, x.valid, y.valid, out.f);
    clear(r->rows, out.t);
    if (e->like != NULL) {
        EFX_KERNEL_EACH(r->rows, out.f, {
            struct efx_str s = str_at(&x, i);
            bool hit = efx_text__runs_match(e->like, (const uint8_t *)s.p, s.n);
            out.t[i / 64] |= (uint64_t)hit << (i % 64);
        })
    } else {
        EFX_KERNEL_EACH(r->rows, out.f, {
            bool hit = efx_text__like(str_at(&x, i), str_at(&y, i), e->escape, fold);
            out.t[i / 64] |= (uint64_t)hit << (i % 64);
        })
    }
    split(r->rows, out);
    efx_ctx_end(r->ctx, mark);
}

void efx_expr__regexp_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__arg x, y;
    efx_expr__get_two(e, r, &x, &y);
    efx_expr__live(r->rows, x.valid, y.valid, out.f);
    clear(r->rows, out.t);
    struct efx_text__matcher *m = efx_text__matcher_begin(r->ctx);
    EFX_KERNEL_EACH(r->rows, out.f, {
        bool hit = false;
        uint16_t code = efx_text__matcher_test(m, e->regex, str_at(&y, i), str_at(&x, i), &hit);
        if (code != 0) {
            efx_fail_row(r->fails, i, code);
            out.f[i / 64] &= ~((uint64_t)1 << (i % 64));
        }
        out.t[i / 64] |= (uint64_t)(hit && code == 0) << (i % 64);
    })
    split(r->rows, out);
    efx_ctx_end(r->ctx, mark);
}
