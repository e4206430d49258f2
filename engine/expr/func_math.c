/* Functions of numbers, language §20. */
#include "efx_func_impl.h"

#include <math.h>

#define PI 3.14159265358979323846

/* ---- resolving ---- */

static uint16_t doubles(struct efx_func_types *t)
{
    t->out = EFX_TYPE_DOUBLE;
    uint16_t code = 0;
    for (uint32_t i = 0; code == 0 && i < t->n; i++) {
        code = efx_func__want_double(t, i);
    }
    return code;
}

/* A number, decimals. */
static uint16_t double_and_whole(struct efx_func_types *t)
{
    t->out = EFX_TYPE_DOUBLE;
    uint16_t code = efx_func__want_double(t, 0);
    return code != 0 || t->n < 2 ? code : efx_func__want_whole(t, 1);
}

static uint16_t same_number(struct efx_func_types *t)
{
    return efx_func__want_common(t, false);
}

static uint16_t to_sign(struct efx_func_types *t)
{
    uint16_t code = efx_func__want_double(t, 0); /* as DOUBLE a LONG keeps its sign */
    t->out = EFX_TYPE_INT;
    return code;
}

static uint16_t whole_rank(struct efx_func_types *t)
{
    enum efx_type rank = EFX_TYPE_INT;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->arg[i] > EFX_TYPE_LONG) {
            t->bad = i;
            return 1305;
        }
        rank = t->arg[i] > rank ? t->arg[i] : rank;
    }
    t->arg[0] = t->arg[1] = t->out = rank;
    return 0;
}

/* ---- abs ---- */

static int32_t abs_int(int32_t v)
{
    return (int32_t)(v < 0 ? 0 - (uint32_t)v : (uint32_t)v);
}

static int64_t abs_long(int64_t v)
{
    return (int64_t)(v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

#define ABS_LOOP(T, F)                                                                             \
    for (uint32_t i = c->rows->from; i < c->rows->until; i++) {                                    \
        ((T *)c->data)[i] = F(((const T *)c->args[0].data)[i]);                                    \
    }

static void abs_vec(const struct efx_func_call *c)
{
    if (c->args[0].type == EFX_TYPE_INT) {
        ABS_LOOP(int32_t, abs_int)
    } else if (c->args[0].type == EFX_TYPE_LONG) {
        ABS_LOOP(int64_t, abs_long)
    } else if (c->args[0].type == EFX_TYPE_FLOAT) {
        ABS_LOOP(float, fabsf)
    } else {
        ABS_LOOP(double, fabs)
    }
}

static uint16_t abs_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                          struct efx_value *out)
{
    (void)n;
    (void)tmp;
    *out = *a;
    if (a->type == EFX_TYPE_INT) {
        out->i = abs_int(a->i);
    } else if (a->type == EFX_TYPE_LONG) {
        out->l = abs_long(a->l);
    } else if (a->type == EFX_TYPE_FLOAT) {
        out->f = fabsf(a->f);
    } else {
        out->d = fabs(a->d);
    }
    return 0;
}

const struct efx_func efx_func__abs = {
    .name = "abs",
    .min_args = 1,
    .max_args = 1,
    .strict = true,
    .total = true,
    .resolve = same_number,
    .vec = abs_vec,
    .value = abs_value,
    .help = "abs(num): magnitude; of the smallest INT or LONG itself"};

/* ---- DOUBLE to DOUBLE ---- */

#define DESCRIBE(ID, MIN, MAX, RESOLVE, BASE, HELP)                                                \
    const struct efx_func efx_func__##ID = {.name = #ID,                                           \
                                            .min_args = MIN,                                       \
                                            .max_args = MAX,                                       \
                                            .strict = true,                                        \
                                            .total = true,                                         \
                                            .resolve = RESOLVE,                                    \
                                            .vec = BASE##_vec,                                     \
                                            .value = BASE##_value,                                 \
                                            .help = HELP};

/* EXPR of double x. */
#define OF_ONE(ID, EXPR, HELP)                                                                     \
    static void ID##_vec(const struct efx_func_call *c)                                            \
    {                                                                                              \
        const double *a = c->args[0].data;                                                         \
        double *restrict o = c->data;                                                              \
        for (uint32_t i = c->rows->from; i < c->rows->until; i++) {                                \
            const double x = a[i];                                                                 \
            o[i] = (EXPR);                                                                         \
        }                                                                                          \
    }                                                                                              \
    static uint16_t ID##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,       \
                               struct efx_value *out)                                              \
    {                                                                                              \
        (void)n;                                                                                   \
        (void)tmp;                                                                                 \
        const double x = a->d;                                                                     \
        *out = (struct efx_value){.type = EFX_TYPE_DOUBLE, .d = (EXPR)};                           \
        return 0;                                                                                  \
    }                                                                                              \
    DESCRIBE(ID, 1, 1, doubles, ID, HELP)

OF_ONE(floor, floor(x), "floor(num): greatest whole number not above it")
OF_ONE(ceil, ceil(x), "ceil(num): smallest whole number not below it")
DESCRIBE(ceiling, 1, 1, doubles, ceil, "ceiling(num): ceil")
OF_ONE(sqrt, sqrt(x), "sqrt(num): square root; NaN of negative numbers")
OF_ONE(exp, exp(x), "exp(num): e to the power of it")
OF_ONE(ln, log(x), "ln(num): natural logarithm")
OF_ONE(log10, log10(x), "log10(num): decimal logarithm")
OF_ONE(log2, log2(x), "log2(num): binary logarithm")
OF_ONE(cbrt, cbrt(x), "cbrt(num): cube root")
OF_ONE(sin, sin(x), "sin(num): sine, radians")
OF_ONE(cos, cos(x), "cos(num): cosine, radians")
OF_ONE(tan, tan(x), "tan(num): tangent, radians")
OF_ONE(asin, asin(x), "asin(num): arc sine")
OF_ONE(acos, acos(x), "acos(num): arc cosine")
OF_ONE(atan, atan(x), "atan(num): arc tangent")
OF_ONE(degrees, x *(180 / PI), "degrees(num): of radians")
OF_ONE(radians, x *(PI / 180), "radians(num): of degrees")

/* ---- rounding to decimals ---- */

/* Half away from zero, of x * scale. A product that looks like a half may have been rounded to it
 * (2.675 is a little less, its product 267.5 is not): what the multiplication cut off decides. */
static double half_away(double x, double scale)
{
    double p = x * scale;
    if (fabs(p - trunc(p)) != 0.5) {
        return round(p);
    }
    double cut = fma(x, scale, -p);
    return p > 0 ? (cut < 0 ? floor(p) : ceil(p)) : (cut > 0 ? ceil(p) : floor(p));
}

static double toward_zero(double x, double scale)
{
    return trunc(x * scale);
}

/* On x * 10^n in DOUBLE; where that is beyond DOUBLE, or x is no number, x has no such decimals. */
static double to_decimals(double x, int64_t n, double (*cut)(double, double))
{
    if (n == 0) {
        return cut(x, 1);
    }
    if (!isfinite(x) || n > 308) {
        return x;
    }
    if (n < -308) {
        return copysign(0, x);
    }
    double scale = pow(10, (double)(n < 0 ? -n : n));
    if (n < 0) {
        return cut(x / scale, 1) * scale;
    }
    return isfinite(x * scale) ? cut(x, scale) / scale : x;
}

static void decimals_vec(const struct efx_func_call *c, double (*cut)(double, double))
{
    const double *a = c->args[0].data;
    const int64_t *n = c->n_args > 1 ? c->args[1].data : NULL;
    double *o = c->data;
    for (uint32_t i = c->rows->from; i < c->rows->until; i++) {
        o[i] = to_decimals(a[i], n != NULL ? n[i] : 0, cut);
    }
}

#define TO_DECIMALS(ID, CUT, HELP)                                                                 \
    static void ID##_vec(const struct efx_func_call *c)                                            \
    {                                                                                              \
        decimals_vec(c, CUT);                                                                      \
    }                                                                                              \
    static uint16_t ID##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,       \
                               struct efx_value *out)                                              \
    {                                                                                              \
        (void)tmp;                                                                                 \
        double d = to_decimals(a[0].d, n > 1 ? a[1].l : 0, CUT);                                   \
        *out = (struct efx_value){.type = EFX_TYPE_DOUBLE, .d = d};                                \
        return 0;                                                                                  \
    }                                                                                              \
    DESCRIBE(ID, 1, 2, double_and_whole, ID, HELP)

TO_DECIMALS(round, half_away, "round(num [, n]): to n decimals, half away from zero")
TO_DECIMALS(trunc, toward_zero, "trunc(num [, n]): to n decimals, toward zero")
DESCRIBE(truncate, 1, 2, double_and_whole, trunc, "truncate(num [, n]): trunc")

/* ---- the others ---- */

/* STATEMENTS fill *out, whose type is set, from a[0 .. n - 1]. */
#define BY_VALUE(ID, TYPE, STATEMENTS)                                                             \
    static uint16_t ID##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,       \
                               struct efx_value *out)                                              \
    {                                                                                              \
        (void)n;                                                                                   \
        (void)a;                                                                                   \
        (void)tmp;                                                                                 \
        *out = (struct efx_value){.type = TYPE};                                                   \
        STATEMENTS;                                                                                \
        return 0;                                                                                  \
    }                                                                                              \
    EFX_FUNC_BY_ROW(ID)

BY_VALUE(sign, EFX_TYPE_INT, out->i = (a->d > 0) - (a->d < 0))
DESCRIBE(sign, 1, 1, to_sign, sign, "sign(num): -1, 0 or 1")

BY_VALUE(mod, EFX_TYPE_DOUBLE, {
    out->null = a[1].d == 0;
    out->d = out->null ? 0 : fmod(a[0].d, a[1].d);
})
DESCRIBE(mod, 2, 2, doubles, mod, "mod(a, b): remainder of a / b; NULL if b = 0")

BY_VALUE(div, a->type, {
    bool is_int = a->type == EFX_TYPE_INT;
    int64_t x = is_int ? a[0].i : a[0].l;
    int64_t y = is_int ? a[1].i : a[1].l;
    out->null = y == 0;
    int64_t q = y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
    if (is_int) {
        out->i = (int32_t)q;
    } else {
        out->l = q;
    }
})
DESCRIBE(div, 2, 2, whole_rank, div, "div(a, b): whole quotient, toward zero; NULL if b = 0")

BY_VALUE(power, EFX_TYPE_DOUBLE, out->d = pow(a[0].d, a[1].d))
DESCRIBE(power, 2, 2, doubles, power, "power(a, b): a to the power of b")
DESCRIBE(pow, 2, 2, doubles, power, "pow(a, b): power")
BY_VALUE(log, EFX_TYPE_DOUBLE, out->d = n == 1 ? log(a[0].d) : log(a[1].d) / log(a[0].d))
DESCRIBE(log, 1, 2, doubles, log, "log([base,] num): natural logarithm, or to the base")
BY_VALUE(atan2, EFX_TYPE_DOUBLE, out->d = atan2(a[0].d, a[1].d))
DESCRIBE(atan2, 2, 2, doubles, atan2, "atan2(y, x): angle of the point (x, y)")
BY_VALUE(pi, EFX_TYPE_DOUBLE, out->d = PI)
DESCRIBE(pi, 0, 0, doubles, pi, "pi(): 3.14159…")
