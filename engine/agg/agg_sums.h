#ifndef AGG_SUMS_H
#define AGG_SUMS_H

#include "agg_in.h"

#include <math.h>

/* Sums that rows can leave again, exactly.
 *
 *   whole  INT, LONG in 16 bytes: 96 bits of sum, so that a key with sum and count has 40
 *   mean   the same with 128 bits and a count that never sticks, for avg
 *   real   FLOAT, DOUBLE: two-sum. `sum` is the rounded sum, `err` what rounding has cost. NaN,
 *          +inf and -inf are counted beside it: once added, they could never leave. What would
 *          overflow
 *          is set aside in units of 2^1023, so it comes back too. When no finite value is left all
 *          is exact zero
 *
 * A sum beyond 64 bits is an error of the row that shows it (EFX-3104); the state goes on and is
 * right again when it fits again. Doubles are added one by one in op order: lanes would make sums
 * depend on the batch.
 *
 *   Limits  whole: |sum| < 2^95, that is 2^32 rows of the largest size; 2^32 - 2 rows that can
 *           leave (a full count stays). real: 2^32 - 2 rows of each kind
 *   Source  test_agg_sum.c; language §21
 */
struct agg_whole { /* hi:lo is one signed number */
    uint64_t lo;
    uint32_t hi;
    uint32_t n;
};

struct agg_mean {
    uint64_t lo;
    uint64_t hi;
    uint64_t n;
};

struct agg_real { /* big * 2^1023 + sum + err, and what is not finite */
    double sum;
    double err;
    uint64_t n; /* all */
    int32_t big;
    uint32_t n_nan, n_pos, n_neg;
};

AGG_INLINE void agg_whole_enter(struct agg_whole *s, int64_t v)
{
    bool carry = __builtin_add_overflow(s->lo, (uint64_t)v, &s->lo);
    s->hi += (uint32_t)(v >> 63) + carry;
    s->n += s->n != UINT32_MAX;
}

AGG_INLINE void agg_whole_leave(struct agg_whole *s, int64_t v)
{
    bool borrow = __builtin_sub_overflow(s->lo, (uint64_t)v, &s->lo);
    s->hi -= (uint32_t)(v >> 63) + borrow;
    s->n -= s->n != UINT32_MAX;
}

static inline void agg_whole_merge(struct agg_whole *a, const struct agg_whole *b)
{
    bool carry = __builtin_add_overflow(a->lo, b->lo, &a->lo);
    a->hi += b->hi + carry;
    a->n = a->n > UINT32_MAX - b->n ? UINT32_MAX : a->n + b->n;
}

AGG_INLINE bool agg_whole_value(const struct agg_whole *s, int64_t *to, struct efx_fails *fails,
                                uint32_t i)
{
    bool fits = s->hi == (uint32_t)((int64_t)s->lo >> 63);
    *to = (int64_t)s->lo;
    if (__builtin_expect(!fits, 0)) {
        efx_fail_row(fails, i, AGG_ERROR_SUM_RANGE);
    }
    return fits && s->n > 0;
}

AGG_INLINE void agg_mean_enter(struct agg_mean *s, int64_t v)
{
    bool carry = __builtin_add_overflow(s->lo, (uint64_t)v, &s->lo);
    s->hi += (uint64_t)(v >> 63) + carry;
    s->n++;
}

AGG_INLINE void agg_mean_leave(struct agg_mean *s, int64_t v)
{
    bool borrow = __builtin_sub_overflow(s->lo, (uint64_t)v, &s->lo);
    s->hi -= (uint64_t)(v >> 63) + borrow;
    s->n--;
}

static inline void agg_mean_merge(struct agg_mean *a, const struct agg_mean *b)
{
    bool carry = __builtin_add_overflow(a->lo, b->lo, &a->lo);
    a->hi += b->hi + carry;
    a->n += b->n;
}

AGG_INLINE bool agg_mean_value(const struct agg_mean *s, double *to)
{
    bool fits = s->hi == (uint64_t)((int64_t)s->lo >> 63);
    double sum = (double)(int64_t)s->lo;
    if (__builtin_expect(!fits, 0)) {
        sum = (double)(__int128)((unsigned __int128)s->hi << 64 | s->lo);
    }
    *to = s->n == 0 ? 0 : sum / (double)s->n;
    return s->n > 0;
}

static const double AGG_PLAIN_MAX = 0x1p1022; /* |sum| and |v| up to here: no sum overflows */
static const double AGG_BIG = 0x1p1023;

/* Moves units of 2^1023 out of x; exact, as x and the unit are within a factor of two. */
static inline double agg_real_shrink(struct agg_real *s, double x)
{
    while (fabs(x) > AGG_PLAIN_MAX) {
        s->big += x > 0 ? 1 : -1;
        x -= copysign(AGG_BIG, x);
    }
    return x;
}

AGG_INLINE void agg_real_plus(struct agg_real *s, double v)
{
    double sum = s->sum + v;
    double v_in = sum - s->sum; /* the part of v that arrived */
    double sum_in = sum - v_in;
    s->err += (s->sum - sum_in) + (v - v_in);
    s->sum = sum;
    if (__builtin_expect(fabs(sum) > AGG_PLAIN_MAX, 0)) {
        s->sum = agg_real_shrink(s, sum);
    }
}

/* NaN, infinities, and what is beyond the plain range. A full count stays. */
static inline void agg_real_special(struct agg_real *s, double v, bool enters)
{
    uint32_t *n = isnan(v) ? &s->n_nan : v > 0 ? &s->n_pos : &s->n_neg;
    if (isfinite(v)) {
        agg_real_plus(s, agg_real_shrink(s, enters ? v : -v));
    } else if (*n != UINT32_MAX) {
        *n += enters ? 1 : -1u;
    }
}

AGG_INLINE void agg_real_enter(struct agg_real *s, double v)
{
    s->n++;
    if (__builtin_expect(fabs(v) <= AGG_PLAIN_MAX, 1)) { /* false for NaN */
        agg_real_plus(s, v);
    } else {
        agg_real_special(s, v, true);
    }
}

AGG_INLINE void agg_real_leave(struct agg_real *s, double v)
{
    s->n--;
    if (__builtin_expect(fabs(v) <= AGG_PLAIN_MAX, 1)) {
        agg_real_plus(s, -v);
    } else {
        agg_real_special(s, v, false);
    }
    if (s->n == (uint64_t)s->n_nan + s->n_pos + s->n_neg) {
        s->sum = 0;
        s->err = 0;
        s->big = 0;
    }
}

static inline void agg_real_merge(struct agg_real *a, const struct agg_real *b)
{
    agg_real_plus(a, b->sum);
    a->err += b->err;
    a->n += b->n;
    a->big += b->big;
    a->n_nan += b->n_nan;
    a->n_pos += b->n_pos;
    a->n_neg += b->n_neg;
}

static inline double agg_real_odd_total(const struct agg_real *s)
{
    if (s->n_nan > 0 || (s->n_pos > 0 && s->n_neg > 0)) {
        return NAN;
    }
    if (s->n_pos > 0 || s->n_neg > 0) {
        return s->n_pos > 0 ? INFINITY : -INFINITY;
    }
    /* at half size, where it fits if the whole does */
    return 2 * (s->big * (AGG_BIG / 2) + (s->sum / 2 + s->err / 2));
}

AGG_INLINE double agg_real_total(const struct agg_real *s)
{
    if (__builtin_expect((s->n_nan | s->n_pos | s->n_neg | (uint32_t)s->big) != 0, 0)) {
        return agg_real_odd_total(s);
    }
    return s->sum + s->err;
}

/* A mean fits where its sum may not. */
AGG_INLINE double agg_real_mean(const struct agg_real *s)
{
    double n = (double)s->n;
    if (__builtin_expect(s->big != 0 && (s->n_nan | s->n_pos | s->n_neg) == 0, 0)) {
        return s->big * (AGG_BIG / 2) / n * 2 + (s->sum + s->err) / n;
    }
    return agg_real_total(s) / n;
}

#endif /* AGG_SUMS_H */
