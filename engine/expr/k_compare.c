/* Comparison kernels: EQ and LT over columns and constants, as bit words; the other four are these
 * two with operands or answers swapped.
 *
 *   a <> b   NOT a = b       a >  b   b < a
 *   a <= b   NOT b < a       a >= b   NOT a < b     total order: NaN is greatest, equal to itself
 *
 * Numbers are compared at all places of the slice. Texts are compared where `live`: a cell of a
 * NULL or of a row that is not there may point anywhere.
 */
#include "efx_expr_impl.h"
#include "efx_kernel.h"

#define HITS(NAME, A, B, TEST)                                                                     \
    EFX_KERNEL static void NAME(const struct efx_expr__arg *x, const struct efx_expr__arg *y,      \
                                const struct efx_rows *rows, const uint64_t *live, uint64_t *hit)  \
    {                                                                                              \
        (void)live;                                                                                \
        const A *a = x->data;                                                                      \
        const B *b = y->data;                                                                      \
        if (x->one) {                                                                              \
            const A k = a[0];                                                                      \
            EFX_KERNEL_WORDS(rows, hit, TEST(k, b[i]))                                             \
        } else if (y->one) {                                                                       \
            const B k = b[0];                                                                      \
            EFX_KERNEL_WORDS(rows, hit, TEST(a[i], k))                                             \
        } else {                                                                                   \
            EFX_KERNEL_WORDS(rows, hit, TEST(a[i], b[i]))                                          \
        }                                                                                          \
    }

#define EQ(a, b)  ((a) == (b))
#define LT(a, b)  ((a) < (b))
#define EQF(a, b) (((a) == (b)) | (((a) != (a)) & ((b) != (b))))
#define LTF(a, b) (((a) < (b)) | (((a) == (a)) & ((b) != (b))))

HITS(eq_int, int32_t, int32_t, EQ)
HITS(lt_int, int32_t, int32_t, LT)
HITS(eq_long, int64_t, int64_t, EQ)
HITS(lt_long, int64_t, int64_t, LT)
HITS(eq_float, float, float, EQF)
HITS(lt_float, float, float, LTF)
HITS(eq_double, double, double, EQF)
HITS(lt_double, double, double, LTF)
HITS(eq_bool, uint8_t, uint8_t, EQ)
HITS(lt_bool, uint8_t, uint8_t, LT)

#define EQ_LD(a, b) (efx_long_double_compare(a, b) == 0)
#define LT_LD(a, b) (efx_long_double_compare(a, b) < 0)
#define LT_DL(a, b) (efx_long_double_compare(b, a) > 0)

HITS(eq_long_double, int64_t, double, EQ_LD)
HITS(lt_long_double, int64_t, double, LT_LD)
HITS(lt_double_long, double, int64_t, LT_DL)

static const struct efx_cell *cell_at(const struct efx_expr__arg *a, uint32_t i)
{
    return (const struct efx_cell *)a->data + (a->one ? 0 : i);
}

#define HITS_TEXT(NAME, TEST)                                                                      \
    static void NAME(const struct efx_expr__arg *x, const struct efx_expr__arg *y,                 \
                     const struct efx_rows *rows, const uint64_t *live, uint64_t *hit)             \
    {                                                                                              \
        for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {                      \
            uint64_t met = 0;                                                                      \
            for (uint64_t left = live[w]; left != 0; left &= left - 1) {                           \
                uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left);                             \
                const struct efx_cell *a = cell_at(x, i), *b = cell_at(y, i);                      \
                met |= (uint64_t)(TEST) << (i % 64);                                               \
            }                                                                                      \
            hit[w] = met;                                                                          \
        }                                                                                          \
    }

HITS_TEXT(eq_text, efx_cell_equal(a, b))
HITS_TEXT(lt_text, efx_cell_compare(a, b) < 0)

static efx_expr__hits_fn hits_of(bool eq, enum efx_type x, enum efx_type y)
{
    static const efx_expr__hits_fn same[EFX_TYPES][2] = {
        [EFX_TYPE_INT] = {lt_int, eq_int},       [EFX_TYPE_LONG] = {lt_long, eq_long},
        [EFX_TYPE_FLOAT] = {lt_float, eq_float}, [EFX_TYPE_DOUBLE] = {lt_double, eq_double},
        [EFX_TYPE_BOOL] = {lt_bool, eq_bool},    [EFX_TYPE_STRING] = {lt_text, eq_text},
        [EFX_TYPE_BYTES] = {lt_text, eq_text},   [EFX_TYPE_OBJECT] = {lt_text, eq_text},
    };
    if (x == y) {
        return same[x][eq];
    }
    EFX_ASSERT((x == EFX_TYPE_LONG && y == EFX_TYPE_DOUBLE) ||
               (x == EFX_TYPE_DOUBLE && y == EFX_TYPE_LONG));
    if (eq) {
        return eq_long_double; /* the caller has swapped them */
    }
    return x == EFX_TYPE_LONG ? lt_long_double : lt_double_long;
}

struct efx_expr__cmp efx_expr__cmp_choose(enum efx_bx_op op, enum efx_type x, enum efx_type y)
{
    bool eq = op == EFX_BX_EQ || op == EFX_BX_NE || op == EFX_BX_NOT_DISTINCT;
    bool swap =
        eq ? x == EFX_TYPE_DOUBLE && y == EFX_TYPE_LONG : op == EFX_BX_GT || op == EFX_BX_LE;
    return (struct efx_expr__cmp){
        .hits = swap ? hits_of(eq, y, x) : hits_of(eq, x, y),
        .swap = swap,
        .negate = op == EFX_BX_NE || op == EFX_BX_LE || op == EFX_BX_GE,
    };
}

void efx_expr__compare(const struct efx_expr__cmp *cmp, const struct efx_expr__arg *x,
                       const struct efx_expr__arg *y, const struct efx_rows *rows,
                       struct efx_expr__bits out)
{
    uint64_t *yes = cmp->negate ? out.f : out.t;
    uint64_t *no = cmp->negate ? out.t : out.f;
    efx_expr__live(rows, x->valid, y->valid, no);
    cmp->hits(cmp->swap ? y : x, cmp->swap ? x : y, rows, no, yes);
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        uint64_t live = no[w], hit = yes[w];
        yes[w] = live & hit;
        no[w] = live & ~hit;
    }
}

void efx_expr__compare_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                            struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__arg x, y;
    efx_expr__get_two(e, r, &x, &y);
    efx_expr__compare(&e->cmp, &x, &y, r->rows, out);
    efx_ctx_end(r->ctx, mark);
}

/* Equal, or both NULL; never NULL. */
void efx_expr__distinct_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                             struct efx_expr__bits out)
{
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__arg x, y;
    efx_expr__get_two(e, r, &x, &y);
    efx_expr__compare(&e->cmp, &x, &y, r->rows, out);
    uint32_t until = r->rows->until;
    for (uint32_t w = r->rows->from / 64; w < efx_words(until); w++) {
        uint64_t there = efx_rows_word(r->rows, w);
        uint64_t any = efx_word(x.valid, w, until) | efx_word(y.valid, w, until);
        out.t[w] |= there & ~any;
        out.f[w] = there & ~out.t[w];
    }
    efx_ctx_end(r->ctx, mark);
}

void efx_expr__not_zero(enum efx_type t, const struct efx_expr__arg *y, const struct efx_rows *rows,
                        uint64_t *hit)
{
    static const uint64_t zero = 0; /* of every type */
    const struct efx_expr__arg k = {&zero, NULL, true};
    if (y->one) { /* callers ask for a constant only if it is zero */
        for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
            hit[w] = 0;
        }
        return;
    }
    hits_of(true, t, t)(y, &k, rows, NULL, hit);
    for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
        hit[w] = ~hit[w];
    }
}
