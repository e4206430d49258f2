#ifndef EFX_MAGIC_H
#define EFX_MAGIC_H

#include <stdint.h>

/* Remainders by a divisor that is known once, without dividing per row.
 *
 * With d = |divisor| >= 2, l = ceil(log2 d) and N bits of dividend (63 for LONG, 31 for INT):
 *
 *   mul = floor(2^(N + l) / d) + 1        q = u * mul >> (N + l)        r = u - q * d
 *
 * is exact for all u = |dividend| <= 2^N: the error of mul is at most 2^l, which moves q by less
 * than 1/d for u < 2^N; for u = 2^N by 1/d at most, and only where d is a power of two, which
 * divides it. The remainder takes the sign of the dividend, so the sign of d does not matter.
 *
 *   Source  Granlund, Montgomery, "Division by invariant integers using multiplication"
 */
struct efx_expr__magic {
    uint64_t mul;
    uint64_t d;
    uint32_t shift; /* of the product's high word (LONG), of the product (INT) */
};

static inline struct efx_expr__magic efx_expr__magic_of(uint64_t d, uint32_t bits)
{
    uint32_t l = 64u - (uint32_t)__builtin_clzll(d - 1);
    unsigned __int128 top = (unsigned __int128)1 << (bits + l);
    return (struct efx_expr__magic){
        .mul = (uint64_t)(top / d) + 1, .d = d, .shift = bits == 63 ? l - 1 : bits + l};
}

static inline struct efx_expr__magic efx_expr__magic_long(int64_t divisor)
{
    return efx_expr__magic_of(divisor < 0 ? 0 - (uint64_t)divisor : (uint64_t)divisor, 63);
}

static inline struct efx_expr__magic efx_expr__magic_int(int32_t divisor)
{
    return efx_expr__magic_of(divisor < 0 ? 0 - (uint64_t)divisor : (uint64_t)divisor, 31);
}

static inline int64_t efx_expr__mod_long(int64_t x, uint64_t mul, uint64_t d, uint32_t shift)
{
    uint64_t sign = (uint64_t)(x >> 63);
    uint64_t u = ((uint64_t)x ^ sign) - sign;
    uint64_t q = (uint64_t)((unsigned __int128)u * mul >> 64) >> shift;
    return (int64_t)(((u - q * d) ^ sign) - sign);
}

static inline int32_t efx_expr__mod_int(int32_t x, uint64_t mul, uint64_t d, uint32_t shift)
{
    uint32_t sign = (uint32_t)(x >> 31);
    uint32_t u = ((uint32_t)x ^ sign) - sign;
    uint32_t q = (uint32_t)(u * mul >> shift);
    return (int32_t)(((u - q * (uint32_t)d) ^ sign) - sign);
}

#endif /* EFX_MAGIC_H */
