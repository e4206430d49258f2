/* The instruction takes 8 bytes in 3 cycles when each step waits for the one before; three streams
 * side by side hide that. They are put together by moving the first two over the zero bytes that
 * the others stand for: a matrix over GF(2), kept for the one length that is used. */
#include "efx_crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { POLY = (int)0x82F63B78, TABLES = 8, STREAM_BYTES = 4096 };

static uint32_t tables[TABLES][256];
static uint32_t zeros[4][256]; /* what STREAM_BYTES zero bytes make of each byte of a crc */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_instruction;

static uint32_t step(uint32_t crc)
{
    return tables[0][crc & 0xFF] ^ crc >> 8;
}

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (uint32_t bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? (crc >> 1) ^ (uint32_t)POLY : crc >> 1;
        }
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (uint32_t t = 1; t < TABLES; t++) {
            tables[t][i] = step(tables[t - 1][i]);
        }
    }
    for (uint32_t k = 0; k < 4; k++) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = i << 8 * k;
            for (uint32_t n = 0; n < STREAM_BYTES; n++) {
                crc = step(crc);
            }
            zeros[k][i] = crc;
        }
    }
#ifdef __x86_64__
    has_instruction = __builtin_cpu_supports("sse4.2") != 0;
#endif
}

static uint32_t over_zeros(uint32_t crc)
{
    return zeros[0][crc & 0xFF] ^ zeros[1][crc >> 8 & 0xFF] ^ zeros[2][crc >> 16 & 0xFF] ^
           zeros[3][crc >> 24];
}

static uint64_t word(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static uint32_t by_tables(uint32_t crc, const uint8_t *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w = word(p) ^ crc;
        crc = 0;
        for (uint32_t t = 0; t < TABLES; t++) {
            crc ^= tables[TABLES - 1 - t][w >> 8 * t & 0xFF];
        }
    }
    for (; n > 0; n--, p++) {
        crc = step(crc ^ *p);
    }
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p,
                                                                 size_t n)
{
    for (; n >= 3 * STREAM_BYTES; n -= 3 * STREAM_BYTES, p += 3 * STREAM_BYTES) {
        uint64_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < STREAM_BYTES; i += 8) {
            a = __builtin_ia32_crc32di(a, word(p + i));
            b = __builtin_ia32_crc32di(b, word(p + STREAM_BYTES + i));
            c = __builtin_ia32_crc32di(c, word(p + 2 * STREAM_BYTES + i));
        }
        crc = over_zeros(over_zeros((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
    }
    uint64_t rest = crc;
    for (; n >= 8; n -= 8, p += 8) {
        rest = __builtin_ia32_crc32di(rest, word(p));
    }
    crc = (uint32_t)rest;
    for (; n > 0; n--, p++) {
        crc = __builtin_ia32_crc32qi(crc, *p);
    }
    return crc;
}
#endif

uint32_t efx_crc32c_by_tables(uint32_t crc, const void *p, size_t n)
{
    (void)pthread_once(&once, make_tables);
    return ~by_tables(~crc, p, n);
}

uint32_t efx_crc32c(uint32_t crc, const void *p, size_t n)
{
    (void)pthread_once(&once, make_tables);
#ifdef __x86_64__
    if (has_instruction) {
        return ~by_instruction(~crc, p, n);
    }
#endif
    return ~by_tables(~crc, p, n);
}
