/* Conversion kernels: CAST, widening and NARROW among numbers and BOOL by loops, CAST from and to
 * STRING row by row.
 *
 *   never fails      up the ranks, to FLOAT, between BOOL and integers
 *   checked          down to INT and LONG: `ok` says where it could be done; elsewhere CAST gives
 *                    NULL and NARROW a data error, 3101
 */
#include "efx_expr_impl.h"
#include "efx_kernel.h"
#include "efx_text.h"

#define PLAIN(NAME, A, B, RESULT)                                                                  \
    EFX_KERNEL static void NAME(const void *from, void *to, const struct efx_rows *rows,           \
                                uint64_t *ok)                                                      \
    {                                                                                              \
        (void)ok;                                                                                  \
        const A *a = from;                                                                         \
        B *restrict o = to;                                                                        \
        for (uint32_t i = rows->from; i < rows->until; i++) {                                      \
            o[i] = (B)(RESULT);                                                                    \
        }                                                                                          \
    }

PLAIN(int_to_long, int32_t, int64_t, a[i])
PLAIN(int_to_float, int32_t, float, a[i])
PLAIN(int_to_double, int32_t, double, a[i])
PLAIN(int_to_bool, int32_t, uint8_t, a[i] != 0)
PLAIN(long_to_float, int64_t, float, a[i])
PLAIN(long_to_double, int64_t, double, a[i])
PLAIN(long_to_bool, int64_t, uint8_t, a[i] != 0)
PLAIN(float_to_double, float, double, a[i])
PLAIN(double_to_float, double, float, a[i])
PLAIN(bool_to_int, uint8_t, int32_t, a[i] != 0)
PLAIN(bool_to_long, uint8_t, int64_t, a[i] != 0)

#define CHECKED(NAME, A, B, FITS)                                                                  \
    EFX_KERNEL static void NAME(const void *from, void *to, const struct efx_rows *rows,           \
                                uint64_t *ok)                                                      \
    {                                                                                              \
        const A *a = from;                                                                         \
        B *restrict o = to;                                                                        \
        for (uint32_t i = rows->from; i < rows->until; i++) {                                      \
            o[i] = FITS(a[i]) ? (B)a[i] : 0;                                                       \
        }                                                                                          \
        EFX_KERNEL_WORDS(rows, ok, FITS(a[i]))                                                     \
    }

#define FITS_INT(v)   ((v) == (int32_t)(v))
#define REAL_INT(v)   (((v) > -2147483649.0) & ((v) < 2147483648.0))
#define REAL_LONG(v)  (((v) >= -0x1p63) & ((v) < 0x1p63))
#define FLOAT_LONG(v) (((v) >= -0x1p63f) & ((v) < 0x1p63f))

CHECKED(long_to_int, int64_t, int32_t, FITS_INT)
CHECKED(float_to_int, float, int32_t, REAL_INT)
CHECKED(float_to_long, float, int64_t, FLOAT_LONG)
CHECKED(double_to_int, double, int32_t, REAL_INT)
CHECKED(double_to_long, double, int64_t, REAL_LONG)

efx_expr__cast_fn efx_expr__cast_choose(enum efx_type from, enum efx_type to, bool *checked)
{
    static const efx_expr__cast_fn kernels[6][6] = {
        [EFX_TYPE_INT] = {[EFX_TYPE_LONG] = int_to_long,
                          [EFX_TYPE_FLOAT] = int_to_float,
                          [EFX_TYPE_DOUBLE] = int_to_double,
                          [EFX_TYPE_BOOL] = int_to_bool},
        [EFX_TYPE_LONG] = {[EFX_TYPE_INT] = long_to_int,
                           [EFX_TYPE_FLOAT] = long_to_float,
                           [EFX_TYPE_DOUBLE] = long_to_double,
                           [EFX_TYPE_BOOL] = long_to_bool},
        [EFX_TYPE_FLOAT] = {[EFX_TYPE_INT] = float_to_int,
                            [EFX_TYPE_LONG] = float_to_long,
                            [EFX_TYPE_DOUBLE] = float_to_double},
        [EFX_TYPE_DOUBLE] = {[EFX_TYPE_INT] = double_to_int,
                             [EFX_TYPE_LONG] = double_to_long,
                             [EFX_TYPE_FLOAT] = double_to_float},
        [EFX_TYPE_BOOL] = {[EFX_TYPE_INT] = bool_to_int, [EFX_TYPE_LONG] = bool_to_long},
    };
    *checked = (to == EFX_TYPE_INT && from > to && from <= EFX_TYPE_DOUBLE) ||
               (to == EFX_TYPE_LONG && from > to && from <= EFX_TYPE_DOUBLE);
    return from > EFX_TYPE_BOOL || to > EFX_TYPE_BOOL ? NULL : kernels[from][to];
}

static void fail_where(const struct efx_expr__run *r, const uint64_t *valid, const uint64_t *ok)
{
    for (uint32_t w = r->rows->from / 64; w < efx_words(r->rows->until); w++) {
        uint64_t bad = efx_rows_word(r->rows, w) & ~ok[w] & (valid == NULL ? UINT64_MAX : valid[w]);
        for (; bad != 0; bad &= bad - 1) {
            efx_fail_row(r->fails, w * 64 + (uint32_t)__builtin_ctzll(bad), 3101);
        }
    }
}

void efx_expr__cast_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, efx_type_width(e->type));
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_col c;
    bool checked;
    e->args[0]->values(e->args[0], r, &c);
    (void)efx_expr__cast_choose(c.type, e->type, &checked);
    uint64_t *ok = checked ? efx_expr__words(r) : NULL;
    e->cast(c.data, room.data, r->rows, ok);
    const uint64_t *valid = efx_expr__both(r->rows, c.valid, NULL, room.valid);
    if (checked && efx_expr__tidy(r->rows, ok) != NULL) {
        if (e->op == EFX_BX_NARROW) {
            fail_where(r, valid, ok);
        }
        valid = efx_expr__both(r->rows, valid, ok, room.valid);
    }
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){e->type, room.data, valid};
}

static void to_text(const struct efx_col *c, const struct efx_expr__run *r,
                    const struct efx_expr__room *room)
{
    struct efx_cell *cells = room->data;
    char buf[40];
    EFX_KERNEL_EACH(r->rows, room->valid, {
        const struct efx_value v = efx_value_of_col(c, i);
        cells[i] = efx_ctx_cell(r->ctx, buf, efx_text__of(&v, buf));
    })
}

static void from_text(const struct efx_col *c, const struct efx_expr__run *r, enum efx_type to,
                      const struct efx_expr__room *room)
{
    EFX_KERNEL_EACH(r->rows, room->valid, {
        const struct efx_value v = efx_value_of_col(c, i);
        struct efx_value x = efx_value_null(to);
        x.null = !efx_text__parse(v.s, to, &x);
        efx_value_to_slot(&x, room->data, room->valid, i);
    })
}

void efx_expr__text_cast_values(const struct efx_expr *e, const struct efx_expr__run *r,
                                struct efx_col *out)
{
    struct efx_expr__room room = efx_expr__room(r, efx_type_width(e->type));
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    struct efx_col c;
    e->args[0]->values(e->args[0], r, &c);
    efx_expr__live(r->rows, c.valid, NULL, room.valid);
    if (e->type == EFX_TYPE_STRING) {
        to_text(&c, r, &room);
    } else {
        from_text(&c, r, e->type, &room);
    }
    efx_ctx_end(r->ctx, mark);
    *out = (struct efx_col){e->type, room.data, efx_expr__tidy(r->rows, room.valid)};
}
