/* Distinct values: how many there are, their sum, their mean. A table value → number of rows in the
 * heap; a value comes when its first row does and leaves with its last. Values are equal as in
 * GROUP BY: one NaN, -0 = 0.
 *
 *   distinctCount, "count distinct"   16 bytes, 16 a value (texts: 24 and the bytes) at load 3/4
 *   "sum distinct", "avg distinct"    the same and an exact sum (agg_sums.h) of each value once
 */
#include "efx_hash.h"

#include "agg_parts.h"
#include "agg_sums.h"

static inline uint32_t hash_num(uint64_t v)
{
    return (uint32_t)efx_hash_u64(v);
}

static inline uint32_t hash_text(struct efx_cell v)
{
    return (uint32_t)efx_hash_bytes(efx_cell_bytes(&v), v.len);
}

#define ITEM  uint64_t
#define VALUE uint64_t
#define K     item_num
#define W     num_counts
#define HASH  hash_num
#include "agg_counts_tmpl.h"
#undef ITEM
#undef VALUE
#undef K

#define ITEM  struct agg_text
#define VALUE struct efx_cell
#define K     item_text
#define W     text_counts
#define HASH  hash_text
#include "agg_counts_tmpl.h"
#undef ITEM
#undef VALUE
#undef K

/* ---- count */

static enum efx_rc num_counts_join(struct efx_heap *h, struct agg_counts *a,
                                   const struct agg_counts *b)
{
    bool is_new;
    for (uint32_t i = 0; i < b->cap; i++) {
        const struct num_counts_slot *slot = &num_counts_slots(h, b)[i];
        if (slot->count != 0) {
            EFX_RET(num_counts_add(h, a, slot->item, slot->count, &is_new));
        }
    }
    return EFX_OK;
}

static enum efx_rc text_counts_join(struct efx_heap *h, struct agg_counts *a,
                                    const struct agg_counts *b)
{
    bool is_new;
    for (uint32_t i = 0; i < b->cap; i++) {
        const struct text_counts_slot *slot = &text_counts_slots(h, b)[i];
        if (slot->count != 0) {
            struct efx_cell v = agg_text_cell(h, &slot->item);
            EFX_RET(text_counts_add(h, a, v, slot->count, &is_new));
        }
    }
    return EFX_OK;
}

AGG_PART_METHODS(num, struct agg_counts, num_counts)
AGG_PART_METHODS(text, struct agg_counts, text_counts)

static inline bool count_value(const struct efx_states *at, const struct agg_counts *s, int64_t *to,
                               struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = s->n;
    return true;
}

static inline uint64_t rank_bool(uint8_t v)
{
    return v != 0;
}

#define COUNT_MOVES(fn, T, C, TO)                                                                  \
    static inline enum efx_rc fn##_enter(const struct efx_states *at, struct agg_counts *s, T v)   \
    {                                                                                              \
        bool is_new;                                                                               \
        return C##_add(at->heap, s, TO(v), 1, &is_new);                                            \
    }                                                                                              \
    static inline enum efx_rc fn##_leave(const struct efx_states *at, struct agg_counts *s, T v)   \
    {                                                                                              \
        (void)C##_take(at->heap, s, TO(v));                                                        \
        return EFX_OK;                                                                             \
    }

#define AS_IS(v) (v)
COUNT_MOVES(n_int, int32_t, num_counts, agg_rank_int)
COUNT_MOVES(n_long, int64_t, num_counts, agg_rank_long)
COUNT_MOVES(n_float, float, num_counts, agg_rank_float)
COUNT_MOVES(n_double, double, num_counts, agg_rank_double)
COUNT_MOVES(n_bool, uint8_t, num_counts, rank_bool)
COUNT_MOVES(n_text, struct efx_cell, text_counts, AS_IS)

#define STATE struct agg_counts
#define FN    n_int
#define CTYPE int32_t
#define OTYPE int64_t
#define ENTER n_int_enter
#define LEAVE n_int_leave
#define RESET num_reset
#define VALUE count_value
#include "agg_run_tmpl.h"

#define FN    n_long
#define CTYPE int64_t
#define OTYPE int64_t
#define ENTER n_long_enter
#define LEAVE n_long_leave
#define RESET num_reset
#define VALUE count_value
#include "agg_run_tmpl.h"

#define FN    n_float
#define CTYPE float
#define OTYPE int64_t
#define ENTER n_float_enter
#define LEAVE n_float_leave
#define RESET num_reset
#define VALUE count_value
#include "agg_run_tmpl.h"

#define FN    n_double
#define CTYPE double
#define OTYPE int64_t
#define ENTER n_double_enter
#define LEAVE n_double_leave
#define RESET num_reset
#define VALUE count_value
#include "agg_run_tmpl.h"

#define FN    n_bool
#define CTYPE uint8_t
#define OTYPE int64_t
#define ENTER n_bool_enter
#define LEAVE n_bool_leave
#define RESET num_reset
#define VALUE count_value
#include "agg_run_tmpl.h"

#define FN    n_text
#define CTYPE struct efx_cell
#define OTYPE int64_t
#define ENTER n_text_enter
#define LEAVE n_text_leave
#define RESET text_reset
#define VALUE count_value
#include "agg_run_tmpl.h"
#undef STATE

/* ---- sum, avg: the table and a sum beside it */

#define SUMS(fn, S, V)                                                                             \
    struct fn {                                                                                    \
        struct agg_counts counts;                                                                  \
        struct S sum;                                                                              \
    };                                                                                             \
    static void fn##_init(void *state)                                                             \
    {                                                                                              \
        memset(state, 0, sizeof(struct fn));                                                       \
    }                                                                                              \
    static void fn##_fini(const struct efx_states *at, void *state)                                \
    {                                                                                              \
        num_counts_release(at->heap, &((struct fn *)state)->counts);                               \
        fn##_init(state);                                                                          \
    }                                                                                              \
    static inline void fn##_reset(const struct efx_states *at, struct fn *s)                       \
    {                                                                                              \
        fn##_fini(at, s);                                                                          \
    }                                                                                              \
    static inline enum efx_rc fn##_add(struct efx_heap *h, struct fn *s, uint64_t rank,            \
                                       uint32_t count, V v)                                        \
    {                                                                                              \
        bool is_new;                                                                               \
        EFX_RET(num_counts_add(h, &s->counts, rank, count, &is_new));                              \
        if (is_new) {                                                                              \
            S##_enter(&s->sum, v);                                                                 \
        }                                                                                          \
        return EFX_OK;                                                                             \
    }                                                                                              \
    static inline void fn##_take(struct efx_heap *h, struct fn *s, uint64_t rank, V v)             \
    {                                                                                              \
        if (num_counts_take(h, &s->counts, rank)) {                                                \
            S##_leave(&s->sum, v);                                                                 \
        }                                                                                          \
    }                                                                                              \
    static uint32_t fn##_save_bytes(const struct efx_states *at, const void *state)                \
    {                                                                                              \
        return (uint32_t)sizeof(struct S) +                                                        \
               num_counts_saved_bytes(at->heap, &((const struct fn *)state)->counts);              \
    }                                                                                              \
    static void fn##_save(const struct efx_states *at, const void *state, struct efx_writer *w)    \
    {                                                                                              \
        efx_put_raw(w, &((const struct fn *)state)->sum, sizeof(struct S));                        \
        num_counts_put(at->heap, &((const struct fn *)state)->counts, w);                          \
    }                                                                                              \
    static enum efx_rc fn##_load(const struct efx_states *at, void *state, struct efx_reader *r)   \
    {                                                                                              \
        efx_get_raw(r, &((struct fn *)state)->sum, sizeof(struct S));                              \
        return num_counts_get(at->heap, &((struct fn *)state)->counts, r);                         \
    }

SUMS(whole, agg_whole, int64_t)
SUMS(mean, agg_mean, int64_t)
SUMS(real, agg_real, double)

#define SUM_MERGE(fn, OF)                                                                          \
    static enum efx_rc fn##_merge(const struct efx_states *at, void *into, const void *from)       \
    {                                                                                              \
        const struct agg_counts *b = &((const struct fn *)from)->counts;                           \
        for (uint32_t i = 0; i < b->cap; i++) {                                                    \
            const struct num_counts_slot *slot = &num_counts_slots(at->heap, b)[i];                \
            if (slot->count != 0) {                                                                \
                EFX_RET(fn##_add(at->heap, into, slot->item, slot->count, OF(slot->item)));        \
            }                                                                                      \
        }                                                                                          \
        return EFX_OK;                                                                             \
    }

SUM_MERGE(whole, agg_long_of)
SUM_MERGE(mean, agg_long_of)
SUM_MERGE(real, agg_double_of)

#define SUM_MOVES(fn, S, T, TO)                                                                    \
    static inline enum efx_rc fn##_enter(const struct efx_states *at, struct S *s, T v)            \
    {                                                                                              \
        return S##_add(at->heap, s, TO(v), 1, v);                                                  \
    }                                                                                              \
    static inline enum efx_rc fn##_leave(const struct efx_states *at, struct S *s, T v)            \
    {                                                                                              \
        S##_take(at->heap, s, TO(v), v);                                                           \
        return EFX_OK;                                                                             \
    }

SUM_MOVES(sum_int, whole, int32_t, agg_rank_int)
SUM_MOVES(sum_long, whole, int64_t, agg_rank_long)
SUM_MOVES(avg_int, mean, int32_t, agg_rank_int)
SUM_MOVES(avg_long, mean, int64_t, agg_rank_long)
SUM_MOVES(real_float, real, float, agg_rank_float)
SUM_MOVES(real_double, real, double, agg_rank_double)

static inline bool whole_value(const struct efx_states *at, const struct whole *s, int64_t *to,
                               struct efx_fails *fails, uint32_t i)
{
    (void)at;
    return agg_whole_value(&s->sum, to, fails, i);
}

static inline bool mean_value(const struct efx_states *at, const struct mean *s, double *to,
                              struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    return agg_mean_value(&s->sum, to);
}

static inline bool sum_real_value(const struct efx_states *at, const struct real *s, double *to,
                                  struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = agg_real_total(&s->sum);
    return s->sum.n > 0;
}

static inline bool avg_real_value(const struct efx_states *at, const struct real *s, double *to,
                                  struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = s->sum.n == 0 ? 0 : agg_real_mean(&s->sum);
    return s->sum.n > 0;
}

#define STATE struct whole
#define FN    sum_int
#define CTYPE int32_t
#define OTYPE int64_t
#define ENTER sum_int_enter
#define LEAVE sum_int_leave
#define RESET whole_reset
#define VALUE whole_value
#include "agg_run_tmpl.h"

#define FN    sum_long
#define CTYPE int64_t
#define OTYPE int64_t
#define ENTER sum_long_enter
#define LEAVE sum_long_leave
#define RESET whole_reset
#define VALUE whole_value
#include "agg_run_tmpl.h"
#undef STATE

#define STATE struct mean
#define FN    avg_int
#define CTYPE int32_t
#define OTYPE double
#define ENTER avg_int_enter
#define LEAVE avg_int_leave
#define RESET mean_reset
#define VALUE mean_value
#include "agg_run_tmpl.h"

#define FN    avg_long
#define CTYPE int64_t
#define OTYPE double
#define ENTER avg_long_enter
#define LEAVE avg_long_leave
#define RESET mean_reset
#define VALUE mean_value
#include "agg_run_tmpl.h"
#undef STATE

#define STATE struct real
#define FN    sum_float
#define CTYPE float
#define OTYPE double
#define ENTER real_float_enter
#define LEAVE real_float_leave
#define RESET real_reset
#define VALUE sum_real_value
#include "agg_run_tmpl.h"

#define FN    sum_double
#define CTYPE double
#define OTYPE double
#define ENTER real_double_enter
#define LEAVE real_double_leave
#define RESET real_reset
#define VALUE sum_real_value
#include "agg_run_tmpl.h"

#define FN    avg_float
#define CTYPE float
#define OTYPE double
#define ENTER real_float_enter
#define LEAVE real_float_leave
#define RESET real_reset
#define VALUE avg_real_value
#include "agg_run_tmpl.h"

#define FN    avg_double
#define CTYPE double
#define OTYPE double
#define ENTER real_double_enter
#define LEAVE real_double_leave
#define RESET real_reset
#define VALUE avg_real_value
#include "agg_run_tmpl.h"
#undef STATE

/* ---- descriptors */

#define DISTINCT(sym, word, help, type, out, S, run, shape)                                        \
    extern const struct efx_agg_vt efx_agg__##sym;                                                 \
    const struct efx_agg_vt efx_agg__##sym = {AGG_BASE(word, help, INVERTIBLE),                    \
                                              AGG_TYPES(type, out), AGG_METHODS(S, run, shape),    \
                                              AGG_PARTS(shape)}

#define COUNT(sym, type, run, shape)                                                               \
    DISTINCT(distinct_##sym, "distinctCount", "How many different values there are.", type, LONG,  \
             struct agg_counts, run, shape);                                                       \
    DISTINCT(count_distinct_##sym, "count distinct", "How many different values there are.", type, \
             LONG, struct agg_counts, run, shape)

COUNT(int, INT, n_int, num);
COUNT(long, LONG, n_long, num);
COUNT(float, FLOAT, n_float, num);
COUNT(double, DOUBLE, n_double, num);
COUNT(bool, BOOL, n_bool, num);
COUNT(string, STRING, n_text, text);
COUNT(bytes, BYTES, n_text, text);
COUNT(object, OBJECT, n_text, text);

#define SUM(sym, type, out, S)                                                                     \
    DISTINCT(sym##_distinct, "sum distinct", "The sum of the different values.", type, out,        \
             struct S, sym, S)
#define AVG(sym, type, S)                                                                          \
    DISTINCT(sym##_distinct, "avg distinct", "The mean of the different values.", type, DOUBLE,    \
             struct S, sym, S)

SUM(sum_int, INT, LONG, whole);
SUM(sum_long, LONG, LONG, whole);
SUM(sum_float, FLOAT, DOUBLE, real);
SUM(sum_double, DOUBLE, DOUBLE, real);
AVG(avg_int, INT, mean);
AVG(avg_long, LONG, mean);
AVG(avg_float, FLOAT, real);
AVG(avg_double, DOUBLE, real);
