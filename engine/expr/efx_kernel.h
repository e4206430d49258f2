#ifndef EFX_KERNEL_H
#define EFX_KERNEL_H

#include "efx_batch.h"

/* How kernels are built: at -O3, where possible in two versions of which the loader takes the one
 * for this CPU (results are the same bits), and bit words made 64 rows at a time.
 *
 *   rows    0 1 2 … 63            64 comparisons, one byte each: what compilers vectorise
 *   bytes   1 0 1 … 0   ──►  word 8 bytes a multiplication
 *
 *   Limits  the loader's choice (ifunc) wants glibc, and breaks under sanitizers
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define EFX_KERNEL __attribute__((target_clones("avx2", "default")))
#else
#define EFX_KERNEL
#endif

/* Bit i of the result = byte i, 0 or 1: byte i of eight moves by 56 - 7 i to bit 56 + i. */
static inline uint64_t efx_kernel_pack(const uint8_t byte[64])
{
    uint64_t word = 0;
    for (uint32_t k = 0; k < 8; k++) {
        uint64_t eight;
        memcpy(&eight, byte + k * 8, 8);
        word |= (eight * 0x0102040810204080u >> 56) << (k * 8);
    }
    return word;
}

/* Cut words are a few rows, one in row mode: vectorising their loop would only cost its set-up. */
#define EFX_KERNEL_STAY_SCALAR(word) __asm__("" : "+r"(word))

/* Word w of hit, w in the slice, gets TEST (an expression of uint32_t i, 0 or 1) of its rows. */
#define EFX_KERNEL_WORDS(rows, hit, TEST)                                                          \
    for (uint32_t w_ = (rows)->from / 64; w_ < efx_words((rows)->until); w_++) {                   \
        uint32_t lo_ = w_ * 64 < (rows)->from ? (rows)->from : w_ * 64;                            \
        uint32_t hi_ = w_ * 64 + 64 > (rows)->until ? (rows)->until : w_ * 64 + 64;                \
        if (hi_ - lo_ == 64) {                                                                     \
            uint8_t byte_[64];                                                                     \
            for (uint32_t j_ = 0; j_ < 64; j_++) {                                                 \
                uint32_t i = lo_ + j_;                                                             \
                byte_[j_] = (uint8_t)(TEST);                                                       \
            }                                                                                      \
            (hit)[w_] = efx_kernel_pack(byte_);                                                    \
        } else {                                                                                   \
            uint64_t word_ = 0;                                                                    \
            for (uint32_t i = lo_; i < hi_; i++) {                                                 \
                word_ |= (uint64_t)(TEST) << (i % 64);                                             \
                EFX_KERNEL_STAY_SCALAR(word_);                                                     \
            }                                                                                      \
            (hit)[w_] = word_;                                                                     \
        }                                                                                          \
    }

/* Runs BODY for uint32_t i = the places of the set bits of `words` within the slice, ascending. */
#define EFX_KERNEL_EACH(rows, words, BODY)                                                         \
    for (uint32_t w_ = (rows)->from / 64; w_ < efx_words((rows)->until); w_++) {                   \
        for (uint64_t word_ = (words)[w_]; word_ != 0; word_ &= word_ - 1) {                       \
            uint32_t i = w_ * 64 + (uint32_t)__builtin_ctzll(word_);                               \
            BODY;                                                                                  \
        }                                                                                          \
    }

#endif /* EFX_KERNEL_H */
