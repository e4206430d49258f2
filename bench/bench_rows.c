#include "bench_rows.h"

void bench_rows_begin(struct bench_rows *r, int n_cols, bool verify)
{
    r->verify = verify;
    r->n_cols = n_cols;
    r->n = 0;
    r->sums = (struct bench_sums){.checksum = BENCH_P3};
    for (int c = 0; c < BENCH_COLS_MAX; c++) {
        r->col[c] = r->buf[c];
    }
}

void bench_rows_look(struct bench_rows *r, long n)
{
    for (long i = 0; i < n; i++) {
        uint64_t h = BENCH_P3;
        for (int c = 0; c < r->n_cols; c++) {
            h = bench_fold(h, (uint64_t)r->col[c][i]);
        }
        bench_sums_add(&r->sums, h);
    }
}
