#ifndef EFX_FUNC_IMPL_H
#define EFX_FUNC_IMPL_H

#include "efx_func.h"
#include "efx_kernel.h"
#include "efx_text.h"

/* The built-in scalar functions: one descriptor a name, listed here, defined in func_*.c.
 *
 * What has an operator of its own (is_null, regexp_like, coalesce, now …) is made by the binder and
 * is not here. A function has its meaning over single values, and most have no other:
 * efx_func__by_row runs that over a slice. Those in every second program (abs, round, upper,
 * length, substring …) have loops of their own.
 *
 *   Limits  a text made by a function: EFX_FUNC_TEXT_MAX bytes, more is a data error 3301
 */
enum { EFX_FUNC_TEXT_MAX = 16 * 1024 * 1024, EFX_FUNC_BAD = 3301 };

/* Identifiers; the descriptor's name is what programs write. */
/* A list, which the layout of macros never settles on. */
/* clang-format off */
#define EFX_FUNC_LIST(X) \
    X(abs) X(floor) X(ceil) X(ceiling) X(round) X(trunc) X(truncate) X(sign) X(mod) X(div) \
    X(power) X(pow) X(sqrt) X(exp) X(ln) X(log) X(log10) X(log2) X(cbrt) X(sin) X(cos) \
    X(tan) X(asin) X(acos) X(atan) X(atan2) X(degrees) X(radians) X(pi) X(maximum) \
    X(minimum) X(greatest) X(least) X(nullif) X(length) X(char_length) X(octet_length) \
    X(upper) X(lower) X(reverse) X(substring) X(substr) X(concat) X(left) X(right) X(trim) \
    X(ltrim) X(rtrim) X(replace) X(repeat) X(lpad) X(rpad) X(position) X(locate) X(instr) \
    X(contains) X(starts_with) X(ends_with) X(split) X(ascii) X(chr) X(char) \
    X(regexp_replace) X(regexp_extract) X(extract) X(date_add) X(date_sub) X(date_diff) \
    X(date_trunc) X(format_date) X(parse_date)
/* clang-format on */

#define EFX_FUNC_DECLARE(id) extern const struct efx_func efx_func__##id;
EFX_FUNC_LIST(EFX_FUNC_DECLARE)

typedef uint16_t (*efx_func__value_fn)(const struct efx_value *args, uint32_t n,
                                       struct efx_arena *tmp, struct efx_value *out);

/* The value function at every place that is there and valid. */
void efx_func__by_row(const struct efx_func_call *c, efx_func__value_fn value);

#define EFX_FUNC_BY_ROW(id)                                                                        \
    static void id##_vec(const struct efx_func_call *c)                                            \
    {                                                                                              \
        efx_func__by_row(c, id##_value);                                                           \
    }

/* live = places that are there and valid; on ctx's scratch. */
uint64_t *efx_func__live(const struct efx_func_call *c);

/* Parts of resolve: argument i must be a number, an integer, a text …; 0 or 1305 with t->bad. */
uint16_t efx_func__want(struct efx_func_types *t, uint32_t i, bool fits, enum efx_type to);
uint16_t efx_func__want_double(struct efx_func_types *t, uint32_t i);
uint16_t efx_func__want_whole(struct efx_func_types *t, uint32_t i); /* to LONG */
uint16_t efx_func__want_text(struct efx_func_types *t, uint32_t i);
/* All arguments to their highest rank, or all STRING if texts are taken; 1303 if all are NULL. */
uint16_t efx_func__want_common(struct efx_func_types *t, bool texts);

#endif /* EFX_FUNC_IMPL_H */
