/* Hashes of equated values: equal for values that `=` calls equal (NaN is NaN, -0 is 0).
 *
 * They only have to spread the wait lists; key groups are efx_keyed_hash's business.
 */
#include "nfa_partial.h"

static inline uint64_t word_of_double(double d)
{
    uint64_t w;
    d = d == 0 ? 0 : d;
    memcpy(&w, &d, sizeof w);
    return d != d ? UINT64_C(0x7FF8000000000000) : w;
}

static inline uint64_t word_of_cell(const struct efx_cell *c)
{
    return efx_hash_bytes(efx_cell_bytes(c), c->len);
}

#define EACH(type_, word_)                                                                         \
    do {                                                                                           \
        const type_ *v = col->data;                                                                \
        for (uint32_t i = 0; i < n; i++) {                                                         \
            uint32_t r = at[i];                                                                    \
            uint64_t h = fresh ? 0 : hash[r];                                                      \
            hash[r] = efx_hash_mix(h, (uint64_t)(word_));                                          \
        }                                                                                          \
    } while (0)

void efx_nfa__hash_col(uint64_t *hash, bool fresh, const struct efx_col *col, const uint32_t *at,
                       uint32_t n)
{
    switch (col->type) {
    case EFX_TYPE_NONE: break;
    case EFX_TYPE_INT: EACH(int32_t, (int64_t)v[r]); break;
    case EFX_TYPE_LONG: EACH(int64_t, v[r]); break;
    case EFX_TYPE_FLOAT: EACH(float, word_of_double((double)v[r])); break;
    case EFX_TYPE_DOUBLE: EACH(double, word_of_double(v[r])); break;
    case EFX_TYPE_BOOL: EACH(uint8_t, v[r]); break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
        for (uint32_t i = 0; i < n; i++) {
            if (efx_bit(col->valid, at[i])) { /* a NULL cell may point anywhere */
                uint64_t h = fresh ? 0 : hash[at[i]];
                const struct efx_cell *c = (const struct efx_cell *)col->data + at[i];
                hash[at[i]] = efx_hash_mix(h, word_of_cell(c));
            }
        }
        break;
    }
}

uint64_t efx_nfa__hash_other(uint64_t h, enum efx_type t, const void *value)
{
    struct efx_col col = {.type = t, .data = value};
    uint32_t at = 0;
    efx_nfa__hash_col(&h, false, &col, &at, 1);
    return h;
}
