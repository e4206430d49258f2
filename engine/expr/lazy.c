/* Operands that are evaluated only for the rows that reach them: AND, OR, IN, CASE, COALESCE, and
 * the tests of truth that need no rows.
 *
 *   AND   reaches the next operand unless FALSE       OR, IN   unless TRUE
 *   CASE  a THEN where its WHEN is TRUE and none before was; the next WHEN where it was not
 *
 * The rows that go on are a narrowed selection over the same batch; a node none of whose rows is
 * reached does not run.
 */
#include "efx_expr_impl.h"
#include "efx_kernel.h"

static uint32_t first_word(const struct efx_expr__run *r)
{
    return r->rows->from / 64;
}

static uint32_t end_word(const struct efx_expr__run *r)
{
    return efx_words(r->rows->until);
}

/* sel = rows that are there and not in `done`; false = none. */
static bool go_on(const struct efx_expr__run *r, const uint64_t *done, uint64_t *sel)
{
    uint64_t any = 0;
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        sel[w] = efx_rows_word(r->rows, w) & ~done[w];
        any |= sel[w];
    }
    return any != 0;
}

/* Rows that did not reach the operand are zero in `next`, and decided in `out` already. */
static void combine(const struct efx_expr__run *r, bool is_and, struct efx_expr__bits out,
                    struct efx_expr__bits next)
{
    uint64_t *meet = is_and ? out.t : out.f;
    uint64_t *join = is_and ? out.f : out.t;
    const uint64_t *meet_by = is_and ? next.t : next.f;
    const uint64_t *join_by = is_and ? next.f : next.t;
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        meet[w] &= meet_by[w];
        join[w] |= join_by[w];
    }
}

void efx_expr__logic_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                          struct efx_expr__bits out)
{
    bool is_and = e->op == EFX_BX_AND;
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__bits next = {efx_expr__words(r), efx_expr__words(r)};
    uint64_t *sel = efx_expr__words(r);
    e->args[0]->bits(e->args[0], r, out);
    for (uint32_t k = 1; k < e->n_args; k++) {
        if (!go_on(r, is_and ? out.f : out.t, sel)) {
            break;
        }
        struct efx_expr__narrow n;
        e->args[k]->bits(e->args[k], efx_expr__narrow(&n, r, sel), next);
        combine(r, is_and, out, next);
    }
    efx_ctx_end(r->ctx, mark);
}

/* x = e1 OR x = e2 …, x computed once. */
void efx_expr__in_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                       struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__bits next = {efx_expr__words(r), efx_expr__words(r)};
    uint64_t *sel = efx_expr__words(r);
    struct efx_col col;
    e->args[0]->values(e->args[0], r, &col);
    const struct efx_expr__arg x = {col.data, col.valid, false};
    efx_expr__live(r->rows, NULL, NULL, out.f);
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        out.t[w] = 0;
    }
    struct efx_ctx_mark each = efx_ctx_begin(r->ctx);
    for (uint32_t k = 1; k < e->n_args && go_on(r, out.t, sel); k++) {
        struct efx_expr__narrow n;
        const struct efx_expr__run *nr = efx_expr__narrow(&n, r, sel);
        struct efx_expr__arg y;
        efx_expr__get(e->args[k], nr, &y);
        efx_expr__compare(&e->cmps[k], &x, &y, nr->rows, next);
        combine(r, false, out, next);
        efx_ctx_end(r->ctx, each);
    }
    efx_ctx_end(r->ctx, mark);
}

/* ---- truth ---- */

/* IS NULL of what is no condition needs its valid words only. */
static void is_null_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                         struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_col c;
    e->args[0]->values(e->args[0], r, &c);
    efx_expr__live(r->rows, c.valid, NULL, out.f);
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        out.t[w] = efx_rows_word(r->rows, w) & ~out.f[w];
    }
    efx_ctx_end(r->ctx, mark);
}

void efx_expr__is_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                       struct efx_expr__bits out)
{
    const struct efx_expr *x = e->args[0];
    if (e->op == EFX_BX_NOT) {
        x->bits(x, r, (struct efx_expr__bits){out.f, out.t});
        return;
    }
    if (e->op == EFX_BX_IS_NULL && x->type != EFX_TYPE_BOOL) {
        is_null_bits(e, r, out);
        return;
    }
    x->bits(x, r, out);
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        uint64_t t = out.t[w], f = out.f[w];
        uint64_t is = e->op == EFX_BX_IS_TRUE ? t : e->op == EFX_BX_IS_FALSE ? f : ~(t | f);
        uint64_t there = efx_rows_word(r->rows, w);
        out.t[w] = there & is;
        out.f[w] = there & ~is;
    }
}

/* ---- choices ---- */

#define BLEND(T)                                                                                   \
    do {                                                                                           \
        T *o_ = room->data;                                                                        \
        const T *v_ = from->data;                                                                  \
        uint32_t step_ = from->one ? 0 : UINT32_MAX;                                               \
        EFX_KERNEL_EACH(r->rows, take, o_[i] = v_[i & step_])                                      \
    } while (0)

/* The places of `take` get what `from` has there. */
static void blend(const struct efx_expr__run *r, uint32_t width, const uint64_t *take,
                  const struct efx_expr__arg *from, const struct efx_expr__room *room)
{
    if (width == 1) {
        BLEND(uint8_t);
    } else if (width == 4) {
        BLEND(uint32_t);
    } else if (width == 8) {
        BLEND(uint64_t);
    } else {
        BLEND(struct efx_cell);
    }
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        room->valid[w] |= take[w] & (from->valid == NULL ? UINT64_MAX : from->valid[w]);
    }
}

/* A result for the rows of `take`. */
static void branch(const struct efx_expr *x, const struct efx_expr__run *r, const uint64_t *take,
                   const struct efx_expr__room *room)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__narrow n;
    struct efx_expr__arg from;
    efx_expr__get(x, efx_expr__narrow(&n, r, take), &from);
    blend(r, efx_type_width(x->type), take, &from, room);
    efx_ctx_end(r->ctx, mark);
}

/* done |= what was met; take = that; false = nothing was. */
static bool take_rows(const struct efx_expr__run *r, const uint64_t *met, uint64_t *done,
                      uint64_t *take)
{
    uint64_t any = 0;
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        take[w] = met[w];
        done[w] |= met[w];
        any |= met[w];
    }
    return any != 0;
}

static void case_branches(const struct efx_expr *e, const struct efx_expr__run *r, uint64_t *done,
                          const struct efx_expr__room *room)
{
    uint64_t *sel = efx_expr__words(r), *take = efx_expr__words(r);
    struct efx_expr__bits when = {efx_expr__words(r), efx_expr__words(r)};
    for (uint32_t k = 0; k + 1 < e->n_args && go_on(r, done, sel); k += 2) {
        struct efx_expr__narrow n;
        e->args[k]->bits(e->args[k], efx_expr__narrow(&n, r, sel), when);
        if (take_rows(r, when.t, done, take)) {
            branch(e->args[k + 1], r, take, room);
        }
    }
    if (go_on(r, done, sel)) {
        branch(e->args[e->n_args - 1], r, sel, room);
    }
}

/* The first that is not NULL: what is valid already is done. */
static void coalesce_branches(const struct efx_expr *e, const struct efx_expr__run *r,
                              const struct efx_expr__room *room)
{
    uint64_t *sel = efx_expr__words(r);
    for (uint32_t k = 0; k < e->n_args && go_on(r, room->valid, sel); k++) {
        branch(e->args[k], r, sel, room);
    }
}

void efx_expr__case_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, efx_type_width(e->type));
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    uint64_t *done = efx_expr__words(r);
    for (uint32_t w = first_word(r); w < end_word(r); w++) {
        done[w] = 0;
        room.valid[w] = 0;
    }
    if (e->op == EFX_BX_CASE) {
        case_branches(e, r, done, &room);
    } else {
        coalesce_branches(e, r, &room);
    }
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){e->type, room.data, efx_expr__tidy(r->rows, room.valid)};
}
