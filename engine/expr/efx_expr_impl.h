#ifndef EFX_EXPR_IMPL_H
#define EFX_EXPR_IMPL_H

#include "efx_eval.h"
#include "efx_expr.h"
#include "efx_magic.h"

#include <stdalign.h>

/* What the files of this folder share: the compiled node and the two ways in which it answers.
 *
 *   values   a column; places that are not there hold anything
 *   bits     BOOL only: two row sets, t = TRUE and f = FALSE, neither = NULL. Both are zero outside
 *            the slice and where no row is there, so AND, OR and NOT are plain word operations
 *
 * A node is native in one of them and turns it into the other. Arithmetic and comparisons of
 * numbers run over all places from .. until - 1, there or not: what cannot fail is cheaper than
 * skipping. Whatever may fail, or follows pointers (texts), looks at rows that are there and not
 * NULL only.
 *
 * A result's memory is taken before its operands are computed, so these are given back at once:
 *
 *   scratch   │ result of e │ operand a │ operand b │        values(e)
 *   after     │ result of e │
 */
struct efx_expr__run {
    struct efx_ctx *ctx;
    const struct efx_step *step;
    const struct efx_rows *rows;
    struct efx_fails *fails; /* never NULL where a node can fail */
};

struct efx_expr__bits { /* [words of until], those of the slice are written */
    uint64_t *t, *f;
};

struct efx_expr__arg { /* an operand of a kernel */
    const void *data;
    const uint64_t *valid;
    bool one; /* a constant that is not NULL: data[0] for all rows */
};

struct efx_expr__room { /* memory of a result */
    void *data;
    uint64_t *valid;
};

typedef void (*efx_expr__values_fn)(const struct efx_expr *e, const struct efx_expr__run *r,
                                    struct efx_col *out);
typedef void (*efx_expr__bits_fn)(const struct efx_expr *e, const struct efx_expr__run *r,
                                  struct efx_expr__bits out);
typedef void (*efx_expr__arith_fn)(const struct efx_expr *e, const struct efx_expr__arg *x,
                                   const struct efx_expr__arg *y, void *out,
                                   const struct efx_rows *rows);
/* hit = places where the comparison is met; texts: of `live` only, zero elsewhere. */
typedef void (*efx_expr__hits_fn)(const struct efx_expr__arg *x, const struct efx_expr__arg *y,
                                  const struct efx_rows *rows, const uint64_t *live, uint64_t *hit);
/* ok = places whose value could be converted; NULL if all can. */
typedef void (*efx_expr__cast_fn)(const void *from, void *to, const struct efx_rows *rows,
                                  uint64_t *ok);

struct efx_expr__cmp { /* the six comparisons made of EQ and LT */
    efx_expr__hits_fn hits;
    bool swap;   /* of the operands */
    bool negate; /* TRUE and FALSE change places */
};

struct efx_expr__exists {
    const struct efx_expr *cond; /* columns: those of the table, then outer[0], outer[1] … */
    uint32_t n_table, n_outer;
    uint32_t *outer; /* columns of the outer batch */
    enum efx_type *outer_types;
};

struct efx_expr {
    efx_expr__values_fn values;
    efx_expr__bits_fn bits; /* BOOL */
    enum efx_bx_op op;
    enum efx_type type;
    bool can_fail; /* it or what is below it */
    bool one;      /* a constant: lit; slot unless NULL */
    uint32_t col;  /* EFX_NO_COL = computes something */
    uint32_t n_args;
    const struct efx_expr **args;
    union {
        efx_expr__arith_fn arith;
        efx_expr__cast_fn cast;
        struct efx_expr__cmp cmp;
        const struct efx_expr__cmp *cmps; /* IN_LIST: [n_args], from 1 */
        const struct efx_func *func;
        const struct efx_expr__exists *exists;
        void *regex;      /* REGEXP by a constant; NULL = computed or faulty */
        const void *like; /* LIKE by a constant without `_`; NULL = other */
    };
    struct efx_expr__magic magic; /* MOD by a constant */
    uint32_t escape;
    uint32_t place;
    uint32_t table, table_col;
    struct efx_value lit;
    alignas(16) uint8_t slot[16];
};

/* ---- memory, operands ---- */

static inline struct efx_expr__room efx_expr__room(const struct efx_expr__run *r, uint32_t width)
{
    size_t data = ((size_t)r->rows->until * width + 63) & ~(size_t)63;
    uint8_t *p = efx_scratch(r->ctx, data + efx_words(r->rows->until) * sizeof(uint64_t));
    return (struct efx_expr__room){p, (uint64_t *)(void *)(p + data)};
}

static inline uint64_t *efx_expr__words(const struct efx_expr__run *r)
{
    return efx_scratch(r->ctx, efx_words(r->rows->until) * sizeof(uint64_t));
}

/* A constant stays one value unless it is NULL. */
void efx_expr__get(const struct efx_expr *e, const struct efx_expr__run *r,
                   struct efx_expr__arg *out);
/* Both operands; at most one of them is `one`. */
void efx_expr__get_two(const struct efx_expr *e, const struct efx_expr__run *r,
                       struct efx_expr__arg *x, struct efx_expr__arg *y);
/* NULL = both always valid; else x and y in `room`. */
const uint64_t *efx_expr__both(const struct efx_rows *rows, const uint64_t *x, const uint64_t *y,
                               uint64_t *room);
/* NULL if every row that is there is valid. */
const uint64_t *efx_expr__tidy(const struct efx_rows *rows, const uint64_t *valid);
/* live = rows that are there and valid in both. */
void efx_expr__live(const struct efx_rows *rows, const uint64_t *x, const uint64_t *y,
                    uint64_t *live);

static inline const void *efx_expr__at(const struct efx_expr__arg *a, uint32_t i, uint32_t width)
{
    return (const uint8_t *)a->data + (a->one ? 0 : (size_t)i * width);
}

/* ---- ways to answer ---- */

void efx_expr__values_of_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                              struct efx_col *out);
void efx_expr__bits_of_values(const struct efx_expr *e, const struct efx_expr__run *r,
                              struct efx_expr__bits out);
void efx_expr__const_values(const struct efx_expr *e, const struct efx_expr__run *r,
                            struct efx_col *out);
void efx_expr__col_values(const struct efx_expr *e, const struct efx_expr__run *r,
                          struct efx_col *out);
void efx_expr__time_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out); /* NOW, EVENT_TS */
void efx_expr__uuid_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out);
void efx_expr__call_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out);
void efx_expr__arith_values(const struct efx_expr *e, const struct efx_expr__run *r,
                            struct efx_col *out);
void efx_expr__cast_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out); /* CAST, NARROW of numbers and BOOL */
void efx_expr__text_cast_values(const struct efx_expr *e, const struct efx_expr__run *r,
                                struct efx_col *out); /* CAST from or to STRING */
void efx_expr__concat_values(const struct efx_expr *e, const struct efx_expr__run *r,
                             struct efx_col *out);
void efx_expr__case_values(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_col *out); /* CASE, COALESCE */
void efx_expr__compare_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                            struct efx_expr__bits out);
void efx_expr__distinct_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                             struct efx_expr__bits out);
void efx_expr__logic_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                          struct efx_expr__bits out); /* AND, OR */
void efx_expr__is_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                       struct efx_expr__bits out); /* NOT, IS_NULL, IS_TRUE, IS_FALSE */
void efx_expr__in_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                       struct efx_expr__bits out);
void efx_expr__like_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                         struct efx_expr__bits out);
void efx_expr__regexp_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_expr__bits out);
void efx_expr__in_table_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                             struct efx_expr__bits out);
void efx_expr__exists_bits(const struct efx_expr *e, const struct efx_expr__run *r,
                           struct efx_expr__bits out);

/* ---- choosing kernels ---- */

/* `by` is the constant divisor of MOD, else NULL. */
efx_expr__arith_fn efx_expr__arith_choose(enum efx_bx_op op, enum efx_type t,
                                          const struct efx_value *by);
struct efx_expr__cmp efx_expr__cmp_choose(enum efx_bx_op op, enum efx_type x, enum efx_type y);
/* NULL: from or to is a text. */
efx_expr__cast_fn efx_expr__cast_choose(enum efx_type from, enum efx_type to, bool *checked);
/* Places of y != 0, for divisors; a constant y is zero. */
void efx_expr__not_zero(enum efx_type t, const struct efx_expr__arg *y, const struct efx_rows *rows,
                        uint64_t *hit);
/* One comparison of operands; `out` may not overlap them. */
void efx_expr__compare(const struct efx_expr__cmp *cmp, const struct efx_expr__arg *x,
                       const struct efx_expr__arg *y, const struct efx_rows *rows,
                       struct efx_expr__bits out);

/* ---- folding ---- */

/* Is e, all of whose operands are constants, one itself? Then *out gets it. */
bool efx_expr__fold(const struct efx_bx *bx, const struct efx_expr *e, struct efx_arena *plan,
                    struct efx_value *out);

/* ---- narrowed rows ---- */

struct efx_expr__narrow {
    struct efx_batch b;
    struct efx_rows rows;
    struct efx_expr__run run;
};

static inline const struct efx_expr__run *
efx_expr__narrow(struct efx_expr__narrow *n, const struct efx_expr__run *r, const uint64_t *sel)
{
    n->b = *r->rows->b;
    n->b.sel = sel;
    n->rows = (struct efx_rows){&n->b, r->rows->from, r->rows->until};
    n->run = (struct efx_expr__run){r->ctx, r->step, &n->rows, r->fails};
    return &n->run;
}

#endif /* EFX_EXPR_IMPL_H */
