/* Loops over windows of the last rows: average and maximum of the last 1,000, and the sum of the
 * last ten of each of 100,000 keys. */
#include "bench_loops.h"
#include "bench_state.h"

enum { LENGTH = 1000 };

/* One round of the ring at a time: inside it nothing wraps, so sums are one tight loop and
 * quotients a second one that the compiler makes wide. */
void bench_loop_length_avg(const struct bench_events *e, struct bench_rows *out)
{
    int64_t *restrict ring = bench_state_alloc(sizeof(int64_t) * LENGTH);
    int64_t sum = 0, sums[LENGTH];
    for (long i = 0; i < e->n_bids; i += LENGTH) {
        long n = bench_min(LENGTH, e->n_bids - i);
        const int64_t *restrict price = e->bid[BID_PRICE] + i;
        for (long j = 0; j < n; j++) {
            sum += price[j] - ring[j];
            ring[j] = price[j];
            sums[j] = sum;
        }
        bench_rows_room(out, n);
        double *restrict avg = bench_doubles(out, 0);
        for (long j = 0; j < n && i == 0; j++) { /* the window still fills */
            avg[j] = (double)sums[j] / (double)(j + 1);
        }
        for (long j = 0; j < n && i != 0; j++) {
            avg[j] = (double)sums[j] / LENGTH;
        }
        out->n += n;
    }
    bench_rows_give(out, out->n);
    bench_state_free(ring, sizeof(int64_t) * LENGTH);
}

static inline int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Two stacks: this round's values give a running maximum, last round's became suffix maxima when
 * the ring wrapped. A row's maximum is the larger of the running one and of the suffix still
 * inside. */
void bench_loop_length_max(const struct bench_events *e, struct bench_rows *out)
{
    int64_t *restrict ring = bench_state_alloc(sizeof(int64_t) * LENGTH);
    int64_t *restrict suffix = bench_state_alloc(sizeof(int64_t) * (LENGTH + 1));
    for (long j = 0; j <= LENGTH; j++) {
        suffix[j] = INT64_MIN;
    }
    for (long i = 0; i < e->n_bids; i += LENGTH) {
        long n = bench_min(LENGTH, e->n_bids - i);
        const int64_t *restrict price = e->bid[BID_PRICE] + i;
        bench_rows_room(out, n);
        int64_t *restrict max = bench_longs(out, 0);
        int64_t run = INT64_MIN;
        for (long j = 0; j < n; j++) {
            ring[j] = price[j];
            run = larger(run, price[j]);
            max[j] = run;
        }
        for (long j = 0; j < n; j++) {
            max[j] = larger(max[j], suffix[j + 1]);
        }
        out->n += n;
        run = INT64_MIN;
        for (long j = n - 1; j >= 0; j--) {
            run = larger(run, ring[j]);
            suffix[j] = run;
        }
    }
    bench_rows_give(out, out->n);
    bench_state_free(ring, sizeof(int64_t) * LENGTH);
    bench_state_free(suffix, sizeof(int64_t) * (LENGTH + 1));
}

/* ---- partition: a key's copy of the query is one entry of two cache lines ---- */

enum { PART_KEYS = 100000, PART_LENGTH = 10 };

struct last_ten {
    int64_t key, sum;
    int64_t at;                 /* place of the oldest, the next to be replaced */
    int64_t price[PART_LENGTH]; /* zeros while it fills: they leave the sum as it is */
    int64_t pad[3];
};
enum { LAST_TEN = sizeof(struct last_ten) };
_Static_assert(LAST_TEN == 128, "two cache lines");

static inline int64_t last_ten_add(struct last_ten *t, int64_t price)
{
    t->sum += price - t->price[t->at];
    t->price[t->at] = price;
    t->at = t->at + 1 == PART_LENGTH ? 0 : t->at + 1;
    return t->sum;
}

void bench_loop_partition(const struct bench_events *e, struct bench_rows *out)
{
    struct bench_index x;
    struct bench_far far;
    bench_index_init(&x, LAST_TEN);
    for (long i = 0; i < e->n_bids; i += BENCH_CHUNK) {
        long n = bench_min(BENCH_CHUNK, e->n_bids - i);
        const int64_t *restrict key = e->bid[BID_KEY] + i, *restrict price = e->bid[BID_PRICE] + i;
        bench_rows_room(out, n);
        int64_t *restrict part = bench_longs(out, 0), *restrict sum = bench_longs(out, 1);
        for (long j = 0; j < n; j++) {
            part[j] = key[j] % PART_KEYS;
        }
        bench_far_begin(&x, LAST_TEN, part, n, &far);
        for (long j = 0; j < n; j++) {
            uint32_t id = bench_far_put(&x, LAST_TEN, part[j], j, &far);
            sum[j] = last_ten_add((struct last_ten *)(void *)x.entry + id, price[j]);
        }
        out->n += n;
    }
    bench_rows_give(out, out->n);
    bench_index_fini(&x, LAST_TEN);
}
