#ifndef EFX_VALUE_H
#define EFX_VALUE_H

#include "efx_col.h"
#include "efx_str.h"

/* One value by itself: constants of a program, rows at the library's door, the reference evaluator.
 * Never on the data plane.
 *
 *   Owner  `s` is borrowed from whoever made the value
 */
struct efx_value {
    enum efx_type type;
    bool null;
    union {
        int32_t i;        /* INT */
        int64_t l;        /* LONG */
        float f;          /* FLOAT */
        double d;         /* DOUBLE */
        bool b;           /* BOOL */
        struct efx_str s; /* STRING (UTF-8), BYTES, OBJECT */
    };
};

static inline struct efx_value efx_value_null(enum efx_type t)
{
    return (struct efx_value){.type = t, .null = true};
}

/* Row i of a column; a short string points into the column's cell. */
struct efx_value efx_value_of_col(const struct efx_col *c, uint32_t i);
/* Writes slot i of `data` and, if valid is not NULL, its bit; a string must outlive the column. */
void efx_value_to_slot(const struct efx_value *v, void *data, uint64_t *valid, uint32_t i);

/* The order of language §2.4: NaN greater than every number and equal to itself, -0 = 0, numbers of
 * any types by mathematical value, FALSE < TRUE, strings by code point, BYTES by byte. Neither may
 * be NULL; types are comparable. -1, 0, 1. */
int efx_value_compare(const struct efx_value *a, const struct efx_value *b);
int efx_double_compare(double a, double b);
int efx_long_double_compare(int64_t a, double b);

#endif /* EFX_VALUE_H */
