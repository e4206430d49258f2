/* Arithmetic kernels: - + - * / % over columns and constants.
 *
 * Every kernel is three loops, column with column, column with constant, constant with column, over
 * all places of the slice: nothing here can fail, so NULL slots and rows that are not there are
 * computed along with the others. INT and LONG wrap, by unsigned arithmetic. What a zero divisor
 * makes NULL is found apart, as a row set (efx_expr__not_zero), and only where the divisor is no
 * constant.
 */
#include "efx_expr_impl.h"
#include "efx_kernel.h"

#include <math.h>

#define LOOP(T, RESULT)                                                                            \
    for (uint32_t i = rows->from; i < rows->until; i++) {                                          \
        o[i] = (T)(RESULT);                                                                        \
    }

#define BINARY(NAME, T, OP)                                                                        \
    EFX_KERNEL static void NAME(const struct efx_expr *e, const struct efx_expr__arg *x,           \
                                const struct efx_expr__arg *y, void *out,                          \
                                const struct efx_rows *rows)                                       \
    {                                                                                              \
        (void)e;                                                                                   \
        const T *a = x->data, *b = y->data;                                                        \
        T *restrict o = out;                                                                       \
        if (x->one) {                                                                              \
            const T k = a[0];                                                                      \
            LOOP(T, OP(k, b[i]))                                                                   \
        } else if (y->one) {                                                                       \
            const T k = b[0];                                                                      \
            LOOP(T, OP(a[i], k))                                                                   \
        } else {                                                                                   \
            LOOP(T, OP(a[i], b[i]))                                                                \
        }                                                                                          \
    }

#define ADD(a, b)  ((a) + (b))
#define SUB(a, b)  ((a) - (b))
#define MUL(a, b)  ((a) * (b))
#define DIV(a, b)  ((a) / (b))
#define NEG(a, b)  (0 - (a))
#define NEGF(a, b) (-(a))

BINARY(add_int, uint32_t, ADD)
BINARY(add_long, uint64_t, ADD)
BINARY(add_float, float, ADD)
BINARY(add_double, double, ADD)
BINARY(sub_int, uint32_t, SUB)
BINARY(sub_long, uint64_t, SUB)
BINARY(sub_float, float, SUB)
BINARY(sub_double, double, SUB)
BINARY(mul_int, uint32_t, MUL)
BINARY(mul_long, uint64_t, MUL)
BINARY(mul_float, float, MUL)
BINARY(mul_double, double, MUL)
BINARY(div_double, double, DIV)

#define UNARY(NAME, T, OP)                                                                         \
    EFX_KERNEL static void NAME(const struct efx_expr *e, const struct efx_expr__arg *x,           \
                                const struct efx_expr__arg *y, void *out,                          \
                                const struct efx_rows *rows)                                       \
    {                                                                                              \
        (void)e;                                                                                   \
        (void)y;                                                                                   \
        const T *a = x->data;                                                                      \
        T *restrict o = out;                                                                       \
        LOOP(T, OP(a[i], 0))                                                                       \
    }

UNARY(neg_int, uint32_t, NEG)
UNARY(neg_long, uint64_t, NEG)
UNARY(neg_float, float, NEGF)
UNARY(neg_double, double, NEGF)

/* ---- remainders ---- */

/* By 0 the result is NULL, whatever is computed; -1 would trap at the smallest dividend, and 1
 * gives the same. */
#define MOD(a, b) ((a) % ((b) == 0 || (b) == -1 ? 1 : (b)))

#define REMAINDER(NAME, T, OP)                                                                     \
    static void NAME(const struct efx_expr *e, const struct efx_expr__arg *x,                      \
                     const struct efx_expr__arg *y, void *out, const struct efx_rows *rows)        \
    {                                                                                              \
        (void)e;                                                                                   \
        const T *a = x->data, *b = y->data;                                                        \
        T *restrict o = out;                                                                       \
        uint32_t sx = x->one ? 0 : UINT32_MAX, sy = y->one ? 0 : UINT32_MAX;                       \
        LOOP(T, OP(a[i & sx], b[i & sy]))                                                          \
    }

REMAINDER(mod_int, int32_t, MOD)
REMAINDER(mod_long, int64_t, MOD)
REMAINDER(mod_float, float, fmodf)
REMAINDER(mod_double, double, fmod)

EFX_KERNEL static void mod_int_by(const struct efx_expr *e, const struct efx_expr__arg *x,
                                  const struct efx_expr__arg *y, void *out,
                                  const struct efx_rows *rows)
{
    (void)y;
    const int32_t *a = x->data;
    int32_t *restrict o = out;
    const struct efx_expr__magic m = e->magic;
    LOOP(int32_t, efx_expr__mod_int(a[i], m.mul, m.d, m.shift))
}

static void mod_long_by(const struct efx_expr *e, const struct efx_expr__arg *x,
                        const struct efx_expr__arg *y, void *out, const struct efx_rows *rows)
{
    (void)y;
    const int64_t *a = x->data;
    int64_t *restrict o = out;
    const struct efx_expr__magic m = e->magic;
    LOOP(int64_t, efx_expr__mod_long(a[i], m.mul, m.d, m.shift))
}

/* Is it a divisor that multiplication replaces? 0, 1 and -1 are left to the plain kernel. */
static bool magic_divisor(const struct efx_value *by)
{
    if (by == NULL || by->null) {
        return false;
    }
    int64_t d = by->type == EFX_TYPE_INT ? by->i : by->l;
    return d < -1 || d > 1;
}

efx_expr__arith_fn efx_expr__arith_choose(enum efx_bx_op op, enum efx_type t,
                                          const struct efx_value *by)
{
    static const efx_expr__arith_fn kernels[][4] = {
        /* INT      LONG      FLOAT      DOUBLE */
        {neg_int, neg_long, neg_float, neg_double},
        {add_int, add_long, add_float, add_double},
        {sub_int, sub_long, sub_float, sub_double},
        {mul_int, mul_long, mul_float, mul_double},
        {NULL, NULL, NULL, div_double},
        {mod_int, mod_long, mod_float, mod_double},
    };
    EFX_ASSERT(op >= EFX_BX_NEG && op <= EFX_BX_MOD && efx_type_is_number(t));
    if (op == EFX_BX_MOD && t <= EFX_TYPE_LONG && magic_divisor(by)) {
        return t == EFX_TYPE_INT ? mod_int_by : mod_long_by;
    }
    return kernels[op - EFX_BX_NEG][t - EFX_TYPE_INT];
}

static bool is_zero(enum efx_type t, const void *v)
{
    return t == EFX_TYPE_INT     ? *(const int32_t *)v == 0
           : t == EFX_TYPE_LONG  ? *(const int64_t *)v == 0
           : t == EFX_TYPE_FLOAT ? *(const float *)v == 0
                                 : *(const double *)v == 0;
}

/* Rows whose divisor is zero become NULL: all or none by a constant. */
static const uint64_t *without_zero(const struct efx_expr *e, const struct efx_expr__run *r,
                                    const struct efx_expr__arg *y, const uint64_t *valid,
                                    uint64_t *room)
{
    if (y->one && !is_zero(e->type, y->data)) {
        return valid;
    }
    uint64_t *ok = efx_expr__words(r);
    efx_expr__not_zero(e->type, y, r->rows, ok);
    uint64_t lost = 0;
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        lost |= efx_rows_word(r->rows, w) & ~ok[w];
    }
    return lost == 0 ? valid : efx_expr__both(r->rows, valid, ok, room);
}

static bool divides(const struct efx_expr *e)
{
    return e->op == EFX_BX_DIV || e->op == EFX_BX_MOD;
}

void efx_expr__arith_values(const struct efx_expr *e, const struct efx_expr__run *r,
                            struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, efx_type_width(e->type));
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_expr__arg x, y = {NULL, NULL, false};
    if (e->n_args == 1) {
        efx_expr__get(e->args[0], r, &x);
    } else {
        efx_expr__get_two(e, r, &x, &y);
    }
    e->arith(e, &x, &y, room.data, r->rows);
    const uint64_t *valid = efx_expr__both(r->rows, x.valid, y.valid, room.valid);
    if (divides(e)) {
        valid = without_zero(e, r, &y, valid, room.valid);
    }
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){e->type, room.data, valid};
}
