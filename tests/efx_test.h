#ifndef EFX_TEST_H
#define EFX_TEST_H

/* What cmocka wants before it, in its order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Seeded randomness for tests: the same seed gives the same run on every machine. */
static inline uint64_t efx_test_rand(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

#endif /* EFX_TEST_H */
