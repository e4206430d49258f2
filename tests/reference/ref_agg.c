#include "ref.h"

#include <math.h>
#include <strings.h>

/* Aggregates computed from all their arguments, each time anew (language §21). */

static bool is(const struct efx_bagg *agg, const char *name)
{
    return strcasecmp(agg->vt->base.name, name) == 0;
}

/* The arguments without NULLs, and without repetitions if DISTINCT was written. */
static uint32_t effective(struct efx_reference *r, bool distinct, const struct efx_value *args,
                          uint32_t n, struct efx_value **out)
{
    *out = REF_NEW_N(r, struct efx_value, n);
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool wanted = !args[i].null;
        for (uint32_t j = 0; j < k && wanted && distinct; j++) {
            wanted = !ref_same(&args[i], &(*out)[j]);
        }
        if (wanted) {
            (*out)[k++] = args[i];
        }
    }
    return k;
}

static double number(const struct efx_value *v)
{
    switch (v->type) {
    case EFX_TYPE_INT: return v->i;
    case EFX_TYPE_LONG: return (double)v->l;
    case EFX_TYPE_FLOAT: return (double)v->f;
    case EFX_TYPE_DOUBLE: return v->d;
    case EFX_TYPE_NONE:
    case EFX_TYPE_BOOL:
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: break;
    }
    return 0;
}

static bool is_integer(const struct efx_value *v)
{
    return v->type == EFX_TYPE_INT || v->type == EFX_TYPE_LONG;
}

static __int128 sum_integer(const struct efx_value *args, uint32_t n)
{
    __int128 sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += args[i].type == EFX_TYPE_INT ? args[i].i : args[i].l;
    }
    return sum;
}

/* Neumaier's: what the additions lose is kept apart. */
static double sum_double(const struct efx_value *args, uint32_t n)
{
    double sum = 0;
    double plain = 0;
    double lost = 0;
    for (uint32_t i = 0; i < n; i++) {
        double x = number(&args[i]);
        double t = sum + x;
        lost += fabs(sum) >= fabs(x) ? (sum - t) + x : (x - t) + sum;
        sum = t;
        plain += x;
    }
    return isfinite(plain) ? sum + lost : plain;
}

static uint16_t sum(const struct efx_value *args, uint32_t n, struct efx_value *out)
{
    if (!is_integer(&args[0])) {
        out->d = sum_double(args, n);
        return 0;
    }
    __int128 s = sum_integer(args, n);
    if (s > INT64_MAX || s < INT64_MIN) {
        return 3104;
    }
    out->l = (int64_t)s;
    return 0;
}

static void avg(const struct efx_value *args, uint32_t n, struct efx_value *out)
{
    double s = is_integer(&args[0]) ? (double)sum_integer(args, n) : sum_double(args, n);
    out->d = s / n;
}

/* sign 1: the greatest, -1: the least; of equal ones the first. */
static void extreme(const struct efx_value *args, uint32_t n, int sign, struct efx_value *out)
{
    *out = args[0];
    for (uint32_t i = 1; i < n; i++) {
        if (efx_value_compare(&args[i], out) * sign > 0) {
            *out = args[i];
        }
    }
}

uint16_t ref_aggregate(struct efx_reference *r, const struct efx_bagg *agg,
                       const struct efx_value *args, uint32_t n, struct efx_value *out)
{
    bool counts_distinct = is(agg, "distinctCount");
    struct efx_value *v;
    uint32_t k = effective(r, agg->distinct || counts_distinct, args, n, &v);
    *out = (struct efx_value){.type = agg->vt->out, .null = true};
    if (is(agg, "count") || counts_distinct) {
        out->null = false;
        out->l = k; /* count(*) gives TRUE as argument of each row */
        return 0;
    }
    if (k == 0) {
        return 0;
    }
    out->null = false;
    uint16_t code = 0;
    if (is(agg, "sum")) {
        code = sum(v, k, out);
    } else if (is(agg, "avg")) {
        avg(v, k, out);
    } else if (is(agg, "min") || is(agg, "max")) {
        extreme(v, k, is(agg, "max") ? 1 : -1, out);
    } else {
        *out = is(agg, "last") ? v[k - 1] : v[0];
    }
    out->null = code != 0;
    return code;
}
