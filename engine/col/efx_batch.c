#include "efx_batch.h"

uint32_t efx_rows_list(const struct efx_rows *r, uint32_t *at)
{
    uint32_t n = 0;
    for (uint32_t w = r->from / 64; w < efx_words(r->until); w++) {
        uint64_t word = efx_rows_word(r, w);
        if (word == UINT64_MAX) {
            for (uint32_t i = 0; i < 64; i++) {
                at[n + i] = w * 64 + i;
            }
            n += 64;
            continue;
        }
        for (; word != 0; word &= word - 1) {
            at[n++] = w * 64 + (uint32_t)__builtin_ctzll(word);
        }
    }
    return n;
}
