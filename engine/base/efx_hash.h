#ifndef EFX_HASH_H
#define EFX_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Hashes of key values. The function is part of what a checkpoint's manifest fixes: key group and
 * shard follow from it, so it never changes silently and is the same on every machine.
 *
 *   key group = top 10 bits of the hash; shard = key group * shards / 1024
 *
 *   Source  splitmix64's finaliser for words; for bytes the same, folded over 8-byte blocks
 */
enum { EFX_KEY_GROUPS = 1024 };

static inline uint64_t efx_hash_u64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static inline uint64_t efx_hash_mix(uint64_t h, uint64_t x)
{
    return efx_hash_u64(h * 0x9E3779B97F4A7C15u + x);
}

static inline uint64_t efx_hash_bytes(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = n;
    for (; n >= 8; n -= 8, b += 8) {
        uint64_t w;
        memcpy(&w, b, 8);
        h = efx_hash_mix(h, w);
    }
    if (n > 0) {
        uint64_t w = 0;
        memcpy(&w, b, n);
        h = efx_hash_mix(h, w);
    }
    return h;
}

static inline uint32_t efx_hash_key_group(uint64_t h)
{
    return (uint32_t)(h >> 54);
}

#endif /* EFX_HASH_H */
