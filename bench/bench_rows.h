#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

/* Where a loop puts its output: column buffers of up to 4,096 rows, handed to a reader when full.
 *
 * The reader of a timed run does nothing; that of a verifying run folds every row into two sums:
 *
 *   row hash   h = P3, then for each column's 64 bits w:  h ^= w * P1;  h = rotl(h, 31) * P2
 *   checksum   folds the row hashes in their order, the same way, from P3
 *   rowsum     adds them up: equal for the same rows in any order
 *
 * A column is the loop's own buffer, or (passed on as it is) a pointer into the input.
 */
#include <stdbool.h>
#include <stdint.h>

enum { BENCH_ROWS_MAX = 4096, BENCH_COLS_MAX = 6 };

#define BENCH_P1 UINT64_C(0x9E3779B185EBCA87)
#define BENCH_P2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define BENCH_P3 UINT64_C(0x165667B19E3779F9)

struct bench_sums {
    uint64_t rows, checksum, rowsum;
};

struct bench_rows {
    bool verify;
    int n_cols;
    long n; /* rows waiting in buf */
    struct bench_sums sums;
    const int64_t
        *col[BENCH_COLS_MAX]; /* of the next batch: buf[c] unless the loop says otherwise */
    int64_t buf[BENCH_COLS_MAX][BENCH_ROWS_MAX] __attribute__((aligned(64)));
};

static inline uint64_t bench_fold(uint64_t h, uint64_t w)
{
    h ^= w * BENCH_P1;
    return (h << 31 | h >> 33) * BENCH_P2;
}

/* Adds one row's hash. */
static inline void bench_sums_add(struct bench_sums *s, uint64_t row_hash)
{
    s->rows++;
    s->checksum = bench_fold(s->checksum, row_hash);
    s->rowsum += row_hash;
}

void bench_rows_begin(struct bench_rows *r, int n_cols, bool verify);
void bench_rows_look(struct bench_rows *r, long n);

/* Hands over the first n rows of `col`. */
static inline void bench_rows_give(struct bench_rows *r, long n)
{
    r->n = 0;
    /* The rows must lie in memory as if somebody read them. */
    __asm__ volatile("" : : "r"(r) : "memory");
    if (__builtin_expect(r->verify, 0)) {
        bench_rows_look(r, n);
    } else {
        r->sums.rows += (uint64_t)n;
    }
}

/* Room for n more rows behind those that wait. */
static inline void bench_rows_room(struct bench_rows *r, long n)
{
    if (r->n + n > BENCH_ROWS_MAX) {
        bench_rows_give(r, r->n);
    }
}

static inline int64_t *bench_longs(struct bench_rows *r, int c)
{
    return r->buf[c] + r->n;
}

static inline double *bench_doubles(struct bench_rows *r, int c)
{
    return (double *)(void *)(r->buf[c] + r->n);
}

#endif /* BENCH_ROWS_H */
