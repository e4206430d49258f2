/* Functions that look at NULL themselves: greatest, least, nullif. */
#include "efx_func_impl.h"

#define DESCRIBE(ID, NAME, MIN, MAX, RESOLVE, BASE, HELP)                                          \
    const struct efx_func efx_func__##ID = {.name = NAME,                                          \
                                            .min_args = MIN,                                       \
                                            .max_args = MAX,                                       \
                                            .strict = false,                                       \
                                            .total = true,                                         \
                                            .resolve = RESOLVE,                                    \
                                            .vec = BASE##_vec,                                     \
                                            .value = BASE##_value,                                 \
                                            .help = HELP};

/* ---- greatest, least ---- */

static uint16_t common_numbers(struct efx_func_types *t)
{
    return efx_func__want_common(t, false);
}

static uint16_t common(struct efx_func_types *t)
{
    return efx_func__want_common(t, true);
}

/* The first of the extreme ones; NULLs are skipped. */
static uint16_t extreme(const struct efx_value *a, uint32_t n, struct efx_arena *tmp, int want,
                        struct efx_value *out)
{
    const struct efx_value *best = a;
    for (uint32_t i = 1; i < n; i++) {
        if (!a[i].null && (best->null || efx_value_compare(&a[i], best) == want)) {
            best = &a[i];
        }
    }
    *out = *best;
    if (!best->null && best->type == EFX_TYPE_STRING) {
        char *p = efx_text__room(tmp, best->s.n);
        memcpy(p, best->s.n == 0 ? "" : best->s.p, best->s.n);
        out->s.p = p;
    }
    return 0;
}

static uint16_t greatest_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                               struct efx_value *out)
{
    return extreme(a, n, tmp, 1, out);
}
EFX_FUNC_BY_ROW(greatest)

static uint16_t least_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                            struct efx_value *out)
{
    return extreme(a, n, tmp, -1, out);
}
EFX_FUNC_BY_ROW(least)

DESCRIBE(greatest, "greatest", 1, 255, common, greatest,
         "greatest(x, …): greatest of those not NULL")
DESCRIBE(least, "least", 1, 255, common, least, "least(x, …): least of those not NULL")
DESCRIBE(maximum, "maximum", 1, 255, common_numbers, greatest,
         "maximum(num, …): greatest of numbers")
DESCRIBE(minimum, "minimum", 1, 255, common_numbers, least, "minimum(num, …): least of numbers")

/* ---- nullif ---- */

/* Compared as `=` does, so numbers keep their types. */
static uint16_t comparable(struct efx_func_types *t)
{
    for (uint32_t i = 0; i < 2; i++) {
        t->arg[i] = t->arg[i] == EFX_TYPE_NONE ? t->arg[1 - i] : t->arg[i];
    }
    t->out = t->arg[0];
    t->bad = 1;
    bool numbers = efx_type_is_number(t->arg[0]) && efx_type_is_number(t->arg[1]);
    bool fits = numbers || (t->arg[0] == t->arg[1] && t->arg[0] != EFX_TYPE_OBJECT);
    return t->out == EFX_TYPE_NONE ? 1303 : fits ? 0 : 1305;
}

static uint16_t nullif_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                             struct efx_value *out)
{
    bool equal = !a[0].null && !a[1].null && efx_value_compare(&a[0], &a[1]) == 0;
    if (equal) {
        *out = efx_value_null(a[0].type);
        return 0;
    }
    (void)n;
    return extreme(a, 1, tmp, 1, out);
}
EFX_FUNC_BY_ROW(nullif)
DESCRIBE(nullif, "nullif", 2, 2, comparable, nullif, "nullif(a, b): NULL if a = b, else a")
