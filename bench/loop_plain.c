/* Loops without state: a projection and a filter. */
#include "bench_loops.h"
#include "bench_state.h"

void bench_loop_project(const struct bench_events *e, struct bench_rows *out)
{
    double *restrict product = (double *)(void *)out->buf[2];
    for (long from = 0; from < e->n_bids; from += BENCH_ROWS_MAX) {
        long n = bench_min(BENCH_ROWS_MAX, e->n_bids - from);
        const int64_t *restrict price = e->bid[BID_PRICE] + from;
        for (long i = 0; i < n; i++) {
            product[i] = 0.908 * (double)price[i];
        }
        out->col[0] = e->bid[BID_AUCTION] + from;
        out->col[1] = e->bid[BID_BIDDER] + from;
        out->col[3] = e->bid[BID_TS] + from;
        bench_rows_give(out, n);
    }
}

enum { DIVISOR = 123 };

/* The inverse of an odd number modulo 2^64: a multiple of it times the inverse is the small
 * quotient, everything else lands outside the quotients' range. No division, no branch. */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inv = odd; /* right in the lowest three bits; each round doubles them */
    for (int round = 0; round < 5; round++) {
        inv *= 2 - odd * inv;
    }
    return inv;
}

void bench_loop_filter(const struct bench_events *e, struct bench_rows *out)
{
    const uint64_t inv = inverse_of(DIVISOR), half = INT64_MAX / DIVISOR;
    _Alignas(64) uint8_t hit[BENCH_ROWS_MAX];
    for (long from = 0; from < e->n_bids; from += BENCH_ROWS_MAX) {
        long n = bench_min(BENCH_ROWS_MAX, e->n_bids - from);
        const int64_t *restrict auction = e->bid[BID_AUCTION] + from;
        const int64_t *restrict price = e->bid[BID_PRICE] + from;
        memset(hit + n / 8 * 8, 0, n < BENCH_ROWS_MAX ? 8 : 0);
        for (long i = 0; i < n; i++) {
            hit[i] = (uint64_t)auction[i] * inv + half <= 2 * half;
        }
        bench_rows_room(out, n);
        for (long i = 0; i < n; i += 8) { /* hits are rare: eight flags at a look */
            uint64_t eight;
            memcpy(&eight, hit + i, 8);
            for (; eight != 0; eight &= eight - 1) {
                long row = i + __builtin_ctzll(eight) / 8;
                out->buf[0][out->n] = auction[row];
                out->buf[1][out->n++] = price[row];
            }
        }
    }
    bench_rows_give(out, out->n);
}
