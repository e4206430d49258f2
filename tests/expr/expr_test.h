#ifndef EXPR_TEST_H
#define EXPR_TEST_H

#include "efx_test.h"

#include "efx_eval.h"
#include "efx_expr.h"

#include <math.h>

/* What the tests of this folder share: bound expressions by hand, random columns with masks, and a
 * check that a compiled expression and the single-value meaning agree, row by row.
 *
 *   column c of the batch is what (src 0, col c) refers to
 */
enum { XT_COLS = 16 };

struct xt {
    struct efx_arena plan;
    struct efx_ctx ctx;
    struct efx_step step;
    struct efx_batch b;
    struct efx_col cols[XT_COLS];
    int64_t ts_ms[EFX_BATCH_ROWS_MAX];
    uint64_t failed[EFX_BATCH_WORDS];
    uint16_t code[EFX_BATCH_ROWS_MAX];
    struct efx_fails fails;
    uint64_t rand;
};

static inline struct xt *xt_open(void)
{
    struct xt *x = efx_mem_libc.alloc(&efx_mem_libc, sizeof *x);
    memset(x, 0, sizeof *x);
    efx_arena_init(&x->plan, &efx_mem_libc, SIZE_MAX);
    efx_ctx_init(&x->ctx, &efx_mem_libc);
    x->rand = 7;
    x->b = (struct efx_batch){.n_cols = XT_COLS, .cols = x->cols, .ts_ms = x->ts_ms};
    for (uint32_t i = 0; i < EFX_BATCH_ROWS_MAX; i++) {
        x->ts_ms[i] = 1000 + i;
    }
    return x;
}

static inline void xt_close(struct xt *x)
{
    efx_ctx_fini(&x->ctx);
    efx_arena_fini(&x->plan);
    efx_mem_libc.free(&efx_mem_libc, x, sizeof *x);
}

/* ---- bound expressions ---- */

static inline struct efx_bx *xt_bx(struct xt *x, enum efx_bx_op op, enum efx_type t, uint32_t n,
                                   struct efx_bx *const *args)
{
    struct efx_bx *e = EFX_NEW(&x->plan, struct efx_bx);
    *e = (struct efx_bx){.op = op, .type = t, .n_args = n, .escape = '\\'};
    e->args = EFX_NEW_N(&x->plan, struct efx_bx *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        e->args[i] = args[i];
    }
    return e;
}

static inline struct efx_bx *xt_1(struct xt *x, enum efx_bx_op op, enum efx_type t,
                                  struct efx_bx *a)
{
    return xt_bx(x, op, t, 1, &a);
}

static inline struct efx_bx *xt_2(struct xt *x, enum efx_bx_op op, enum efx_type t,
                                  struct efx_bx *a, struct efx_bx *b)
{
    return xt_bx(x, op, t, 2, (struct efx_bx *[]){a, b});
}

static inline struct efx_bx *xt_3(struct xt *x, enum efx_bx_op op, enum efx_type t,
                                  struct efx_bx *a, struct efx_bx *b, struct efx_bx *c)
{
    return xt_bx(x, op, t, 3, (struct efx_bx *[]){a, b, c});
}

static inline struct efx_bx *xt_col(struct xt *x, uint32_t col)
{
    struct efx_bx *e = xt_bx(x, EFX_BX_COL, x->cols[col].type, 0, NULL);
    e->col = col;
    return e;
}

static inline struct efx_bx *xt_lit(struct xt *x, struct efx_value v)
{
    struct efx_bx *e = xt_bx(x, EFX_BX_CONST, v.type, 0, NULL);
    e->lit = v;
    return e;
}

static inline struct efx_value xt_v_int(int32_t i)
{
    return (struct efx_value){.type = EFX_TYPE_INT, .i = i};
}

static inline struct efx_value xt_v_long(int64_t l)
{
    return (struct efx_value){.type = EFX_TYPE_LONG, .l = l};
}

static inline struct efx_value xt_v_float(float f)
{
    return (struct efx_value){.type = EFX_TYPE_FLOAT, .f = f};
}

static inline struct efx_value xt_v_double(double d)
{
    return (struct efx_value){.type = EFX_TYPE_DOUBLE, .d = d};
}

static inline struct efx_value xt_v_bool(bool b)
{
    return (struct efx_value){.type = EFX_TYPE_BOOL, .b = b};
}

static inline struct efx_value xt_v_str(const char *s)
{
    return (struct efx_value){.type = EFX_TYPE_STRING, .s = efx_str_of(s)};
}

#define XT_INT(v)     xt_lit(x, xt_v_int(v))
#define XT_LONG(v)    xt_lit(x, xt_v_long(v))
#define XT_FLOAT(v)   xt_lit(x, xt_v_float(v))
#define XT_DOUBLE(v)  xt_lit(x, xt_v_double(v))
#define XT_BOOL(v)    xt_lit(x, xt_v_bool(v))
#define XT_STR(v)     xt_lit(x, xt_v_str(v))
#define XT_NULL(type) xt_lit(x, efx_value_null(type))

static inline uint32_t xt_map_col(void *arg, const struct efx_bx *ref)
{
    (void)arg;
    return ref->src == 0 ? ref->col : EFX_NO_COL;
}

static inline const struct efx_expr *xt_compile(struct xt *x, const struct efx_bx *bx)
{
    const struct efx_expr_map map = {.col = xt_map_col};
    const struct efx_expr *e = NULL;
    assert_int_equal(efx_expr_compile(&x->plan, bx, &map, &e), EFX_OK);
    return e;
}

/* ---- random columns ---- */

static inline struct efx_value xt_random_value(struct xt *x, enum efx_type t)
{
    static const double reals[] = {
        0.0,   -0.0,   1,       -1,           0.5,          2.5,           -2.5,          1e20,
        -1e20, 0x1p63, -0x1p63, 2147483647.0, 2147483648.0, -2147483648.0, -2147483649.0, 3e9};
    static const char *const texts[] = {"",
                                        "a",
                                        "abc",
                                        "ABC",
                                        "naïve",
                                        "12",
                                        " 7 ",
                                        "3.9",
                                        "true",
                                        "x%y",
                                        "a.c",
                                        "Ärger",
                                        "a longer text than a cell",
                                        "NaN",
                                        "-5e3",
                                        "abcabc",
                                        "another long text, with abc in it"};
    uint64_t r = efx_test_rand(&x->rand);
    uint64_t small = r >> 8;
    struct efx_value v = {.type = t};
    double d = (r & 7) == 0   ? (double)NAN
               : (r & 7) == 1 ? (double)INFINITY
               : (r & 3) == 2 ? reals[small % (sizeof reals / sizeof reals[0])]
                              : (double)(int64_t)(small % 41) / 4 - 5;
    switch (t) {
    case EFX_TYPE_INT:
        v.i = (r & 7) == 0 ? INT32_MIN : (r & 7) == 1 ? (int32_t)small : (int32_t)(small % 21) - 10;
        break;
    case EFX_TYPE_LONG:
        v.l = (r & 7) == 0   ? INT64_MIN
              : (r & 7) == 1 ? (int64_t)(r * 977)
                             : (int64_t)(small % 21) - 10;
        break;
    case EFX_TYPE_FLOAT: v.f = (float)d; break;
    case EFX_TYPE_DOUBLE: v.d = d; break;
    case EFX_TYPE_BOOL: v.b = r & 1; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES: v.s = efx_str_of(texts[small % (sizeof texts / sizeof texts[0])]); break;
    case EFX_TYPE_NONE:
    case EFX_TYPE_OBJECT: fail();
    }
    return v;
}

/* nulls: of 4 values so many are NULL, whose slots hold rubbish; 0 = no valid words at all. */
static inline void xt_fill(struct xt *x, uint32_t col, enum efx_type t, uint32_t n, uint32_t nulls)
{
    uint32_t width = efx_type_width(t);
    void *data = efx_arena_alloc(&x->plan, n + 1, width, 64);
    uint64_t *valid = EFX_NEW_N(&x->plan, uint64_t, EFX_BATCH_WORDS + 1);
    memset(data, t == EFX_TYPE_BOOL ? 1 : 0xFF, (size_t)(n + 1) * width); /* cells: bad pointers */
    memset(valid, 0xFF, EFX_BATCH_WORDS * 8);                             /* rubbish past the end */
    for (uint32_t i = 0; i < n; i++) {
        struct efx_value v = xt_random_value(x, t);
        bool null = efx_test_rand(&x->rand) % 4 < nulls;
        if (!null) {
            efx_value_to_slot(&v, data, NULL, i);
        }
        efx_bit_put(valid, i, !null);
    }
    x->cols[col] = (struct efx_col){t, data, nulls == 0 ? NULL : valid};
    x->b.n_rows = n;
}

/* A column of given values. */
static inline void xt_put(struct xt *x, uint32_t col, uint32_t n, const struct efx_value *v)
{
    void *data = efx_arena_alloc(&x->plan, n, 16, 64);
    uint64_t *valid = EFX_NEW_N(&x->plan, uint64_t, EFX_BATCH_WORDS);
    for (uint32_t i = 0; i < n; i++) {
        efx_value_to_slot(&v[i], data, valid, i);
    }
    x->cols[col] = (struct efx_col){v[0].type, data, valid};
    x->b.n_rows = n;
}

/* mask: 0 = all there, 1 = none, 2 = at random. */
static inline void xt_mask(struct xt *x, uint32_t mask)
{
    uint64_t *sel = EFX_NEW_N(&x->plan, uint64_t, EFX_BATCH_WORDS);
    for (uint32_t w = 0; w < EFX_BATCH_WORDS; w++) {
        sel[w] = mask == 1 ? 0 : efx_test_rand(&x->rand);
    }
    x->b.sel = mask == 0 ? NULL : sel;
}

/* ---- running ---- */

static inline bool xt_same(const struct efx_value *a, const struct efx_value *b)
{
    if (a->type != b->type || a->null != b->null) {
        return false;
    }
    return a->null || efx_value_compare(a, b) == 0;
}

static inline void xt_fails_reset(struct xt *x)
{
    memset(x->failed, 0, sizeof x->failed);
    x->fails = (struct efx_fails){x->failed, x->code, false};
}

/* The value at row i, evaluated over a slice around it; *code = its data error or 0. */
static inline struct efx_value xt_eval_at(struct xt *x, const struct efx_expr *e, uint32_t i,
                                          uint16_t *code)
{
    struct efx_col c;
    xt_fails_reset(x);
    const struct efx_rows rows = {&x->b, i, i + 1};
    efx_expr_eval(e, &x->ctx, &x->step, &rows, &c, &x->fails);
    *code = efx_bit(x->failed, i) ? x->code[i] : 0;
    return efx_value_of_col(&c, i);
}

/* Row i of bx by the single-value meaning; operands are constants, columns or such operators. */
static inline struct efx_value xt_slow(struct xt *x, const struct efx_bx *bx, uint32_t i,
                                       uint16_t *code)
{
    if (bx->op == EFX_BX_CONST) {
        return bx->lit;
    }
    if (bx->op == EFX_BX_COL) {
        return efx_value_of_col(&x->cols[bx->col], i);
    }
    struct efx_value args[8] = {0}, out;
    for (uint32_t k = 0; k < bx->n_args; k++) {
        args[k] = xt_slow(x, bx->args[k], i, code);
    }
    uint16_t own = efx_eval_op(bx, args, &x->ctx.step, &out);
    *code = *code != 0 ? *code : own;
    return out;
}

typedef struct efx_value (*xt_meaning_fn)(struct xt *x, const struct efx_bx *bx, uint32_t i,
                                          uint16_t *code);

static inline void xt_check_slice(struct xt *x, const struct efx_bx *bx, const struct efx_expr *e,
                                  uint32_t from, uint32_t until, xt_meaning_fn meaning)
{
    struct efx_ctx_mark mark = efx_ctx_begin(&x->ctx);
    const struct efx_rows rows = {&x->b, from, until};
    struct efx_col c;
    uint64_t yes[EFX_BATCH_WORDS] = {0};
    xt_fails_reset(x);
    efx_expr_eval(e, &x->ctx, &x->step, &rows, &c, &x->fails);
    assert_int_equal(c.type, bx->type);
    for (uint32_t i = from; i < until; i++) {
        if (!efx_bit(x->b.sel, i)) {
            assert_false(efx_bit(x->failed, i));
            continue;
        }
        uint16_t code = 0;
        struct efx_value want = meaning(x, bx, i, &code);
        struct efx_value have = efx_value_of_col(&c, i);
        assert_int_equal(efx_bit(x->failed, i), code != 0);
        assert_true(code == 0 || x->code[i] == code);
        assert_true(code != 0 ? have.null : xt_same(&have, &want));
    }
    if (bx->type == EFX_TYPE_BOOL) {
        xt_fails_reset(x);
        efx_expr_filter(e, &x->ctx, &x->step, &rows, yes, &x->fails);
        for (uint32_t i = from / 64 * 64; i < efx_words(until) * 64; i++) {
            uint16_t code = 0;
            bool there = i >= from && i < until && efx_bit(x->b.sel, i);
            struct efx_value want = {.null = true};
            if (there) {
                want = meaning(x, bx, i, &code);
            }
            assert_int_equal(efx_bit(yes, i), there && code == 0 && !want.null && want.b);
        }
    }
    efx_ctx_end(&x->ctx, mark);
    efx_arena_reset(&x->ctx.step);
}

/* Whole batch and slices that are not word aligned. */
static inline void xt_check_by(struct xt *x, const struct efx_bx *bx, xt_meaning_fn meaning)
{
    const struct efx_expr *e = xt_compile(x, bx);
    uint32_t n = x->b.n_rows;
    xt_check_slice(x, bx, e, 0, n, meaning);
    if (n >= 63) {
        xt_check_slice(x, bx, e, 5, 6, meaning);
        xt_check_slice(x, bx, e, 7, n - 1, meaning);
    }
    if (n > 130) {
        xt_check_slice(x, bx, e, 60, 130, meaning);
        xt_check_slice(x, bx, e, 128, 192, meaning);
    }
}

static inline void xt_check(struct xt *x, const struct efx_bx *bx)
{
    xt_check_by(x, bx, xt_slow);
}

#endif /* EXPR_TEST_H */
