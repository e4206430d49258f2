/* SUM and AVG of the values that are not NULL; of none NULL. The sums are in agg_sums.h. */
#include "agg_sums.h"

#define ROOM(fn, S)                                                                                \
    static void fn##_init(void *state)                                                             \
    {                                                                                              \
        memset(state, 0, sizeof(struct S));                                                        \
    }                                                                                              \
    AGG_INLINE void fn##_reset(const struct efx_states *at, struct S *s)                           \
    {                                                                                              \
        (void)at;                                                                                  \
        memset(s, 0, sizeof *s);                                                                   \
    }                                                                                              \
    static enum efx_rc fn##_merge(const struct efx_states *at, void *into, const void *from)       \
    {                                                                                              \
        (void)at;                                                                                  \
        S##_merge(into, from);                                                                     \
        return EFX_OK;                                                                             \
    }

ROOM(whole, agg_whole)
ROOM(mean, agg_mean)
ROOM(real, agg_real)

#define MOVES(fn, S, T, V)                                                                         \
    AGG_INLINE enum efx_rc fn##_enter(const struct efx_states *at, struct S *s, T v)               \
    {                                                                                              \
        (void)at;                                                                                  \
        S##_enter(s, (V)v);                                                                        \
        return EFX_OK;                                                                             \
    }                                                                                              \
    AGG_INLINE enum efx_rc fn##_leave(const struct efx_states *at, struct S *s, T v)               \
    {                                                                                              \
        (void)at;                                                                                  \
        S##_leave(s, (V)v);                                                                        \
        return EFX_OK;                                                                             \
    }

MOVES(whole_int, agg_whole, int32_t, int64_t)
MOVES(whole_long, agg_whole, int64_t, int64_t)
MOVES(mean_int, agg_mean, int32_t, int64_t)
MOVES(mean_long, agg_mean, int64_t, int64_t)
MOVES(real_float, agg_real, float, double)
MOVES(real_double, agg_real, double, double)

AGG_INLINE bool whole_value(const struct efx_states *at, const struct agg_whole *s, int64_t *to,
                            struct efx_fails *fails, uint32_t i)
{
    (void)at;
    return agg_whole_value(s, to, fails, i);
}

AGG_INLINE bool mean_value(const struct efx_states *at, const struct agg_mean *s, double *to,
                           struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    return agg_mean_value(s, to);
}

AGG_INLINE bool sum_real_value(const struct efx_states *at, const struct agg_real *s, double *to,
                               struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = agg_real_total(s);
    return s->n > 0;
}

AGG_INLINE bool avg_real_value(const struct efx_states *at, const struct agg_real *s, double *to,
                               struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = s->n == 0 ? 0 : agg_real_mean(s);
    return s->n > 0;
}

/* ---- one instance per argument type */

#define STATE struct agg_whole
#define FN    sum_int
#define CTYPE int32_t
#define OTYPE int64_t
#define ENTER whole_int_enter
#define LEAVE whole_int_leave
#define RESET whole_reset
#define VALUE whole_value
#include "agg_run_tmpl.h"

#define FN    sum_long
#define CTYPE int64_t
#define OTYPE int64_t
#define ENTER whole_long_enter
#define LEAVE whole_long_leave
#define RESET whole_reset
#define VALUE whole_value
#include "agg_run_tmpl.h"
#undef STATE

#define STATE struct agg_mean
#define FN    avg_int
#define CTYPE int32_t
#define OTYPE double
#define ENTER mean_int_enter
#define LEAVE mean_int_leave
#define RESET mean_reset
#define VALUE mean_value
#include "agg_run_tmpl.h"

#define FN    avg_long
#define CTYPE int64_t
#define OTYPE double
#define ENTER mean_long_enter
#define LEAVE mean_long_leave
#define RESET mean_reset
#define VALUE mean_value
#include "agg_run_tmpl.h"
#undef STATE

#define STATE struct agg_real
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

#define sum_int_init     whole_init
#define sum_int_merge    whole_merge
#define sum_long_init    whole_init
#define sum_long_merge   whole_merge
#define avg_int_init     mean_init
#define avg_int_merge    mean_merge
#define avg_long_init    mean_init
#define avg_long_merge   mean_merge
#define sum_float_init   real_init
#define sum_float_merge  real_merge
#define sum_double_init  real_init
#define sum_double_merge real_merge
#define avg_float_init   real_init
#define avg_float_merge  real_merge
#define avg_double_init  real_init
#define avg_double_merge real_merge

#define SUM(sym, in, out, state)                                                                   \
    AGG_VT(sym, "sum", INVERTIBLE, in, out, state, sym,                                            \
           "The sum of the values that are not NULL.", )
#define AVG(sym, in, state)                                                                        \
    AGG_VT(sym, "avg", INVERTIBLE, in, DOUBLE, state, sym,                                         \
           "The mean of the values that are not NULL.", )

SUM(sum_int, INT, LONG, struct agg_whole);
SUM(sum_long, LONG, LONG, struct agg_whole);
SUM(sum_float, FLOAT, DOUBLE, struct agg_real);
SUM(sum_double, DOUBLE, DOUBLE, struct agg_real);
AVG(avg_int, INT, struct agg_mean);
AVG(avg_long, LONG, struct agg_mean);
AVG(avg_float, FLOAT, struct agg_real);
AVG(avg_double, DOUBLE, struct agg_real);
