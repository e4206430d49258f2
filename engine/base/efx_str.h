#ifndef EFX_STR_H
#define EFX_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed text and the few things done with names: case folding and edit distance.
 *
 *   Owner  whoever made the bytes; nothing here allocates
 */
struct efx_str { /* not NUL-terminated */
    const char *p;
    uint32_t n;
};

#define EFX_STR_FMT      "%.*s"
#define EFX_STR_ARG(str) (int)(str).n, (str).p

static inline struct efx_str efx_str_of(const char *z)
{
    return (struct efx_str){z, (uint32_t)strlen(z)};
}

static inline bool efx_str_equal(struct efx_str a, struct efx_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII letters without regard to case. */
bool efx_str_equal_ci(struct efx_str a, struct efx_str b);

/* Whole text as a decimal integer; false = is none, or does not fit. */
bool efx_str_i64(struct efx_str s, int64_t *out);

/* Levenshtein distance without regard to case, with swaps of neighbours as one edit; more than
 * `max` gives max + 1. Names longer than 64 bytes never match. */
uint32_t efx_str_distance(struct efx_str a, struct efx_str b, uint32_t max);

#endif /* EFX_STR_H */
